#!/usr/bin/env python3
"""Submits a prompt and prints its result: python3 submit.py CONTEXT AGENT PROMPT [IDEMPOTENCY_KEY]

With an idempotency key the same call may be made again, say after a time-out: it is the same task.
"""

import sys
import time

from bloom import Refused, call

OVER = {"completed", "dead", "cancelled"}


def main():
    context, agent, prompt, *key = sys.argv[1:]
    task = call(
        "POST",
        "/llm-tasks",
        {"context_id": context, "agent_slug": agent, "prompt": prompt},
        {"Idempotency-Key": key[0]} if key else None,
    )
    print(f"task {task['id']}", file=sys.stderr)
    while task["status"] not in OVER:
        time.sleep(0.2)
        task = call("GET", f"/llm-tasks/{task['id']}")
    if task["status"] != "completed":
        sys.exit(f"the task is {task['status']}")
    print(call("GET", f"/llm-tasks/{task['id']}/result")["output"])


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(str(refused))
