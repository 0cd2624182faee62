// Submits a prompt and prints its result: node dist/submit.js CONTEXT AGENT PROMPT [IDEMPOTENCY_KEY]
// With an idempotency key the same call may be made again, say after a time-out: it is the same task.
import { call, pause, type Task } from './bloom.js';

const [context_id, agent_slug, prompt, key] = process.argv.slice(2);
const headers: Record<string, string> = key ? { 'idempotency-key': key } : {};
let task = await call<Task>('POST', '/llm-tasks', { context_id, agent_slug, prompt }, headers);
console.error(`task ${task.id}`);
while (!['completed', 'dead', 'cancelled'].includes(task.status)) {
    await pause(200);
    task = await call<Task>('GET', `/llm-tasks/${task.id}`);
}
if (task.status !== 'completed') {
    console.error(`the task is ${task.status}`);
    process.exit(1);
}
console.log((await call<{ output: string }>('GET', `/llm-tasks/${task.id}/result`)).output);
