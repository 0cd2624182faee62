// A small worker: node dist/worker.js NAME [TASKS]. It answers each prompt in capitals, and ends after so
// many tasks, if a number is given. What it may not do is go on once its lease is lost: somebody else may
// have the task.
import { randomUUID } from 'node:crypto';
import { call, Refused, type Granted, type Task } from './bloom.js';

const ttlSeconds = 30;
const [name = 'example', tasks] = process.argv.slice(2);
const session_id = randomUUID();

type State = 'ok' | 'cancel' | 'lost';

async function beat(lease_id: string): Promise<State> {
    const body = { session_id, leases: [{ lease_id }] };
    const answer = await call<{ leases: { state: State }[] }>('POST', `/workers/${name}/beat`, body);
    return answer.leases[0]?.state ?? 'lost';
}

/** The work itself. It ends early where the signal says so: somebody wants the task to end. */
async function work(task: Task, stop: AbortSignal): Promise<string> {
    stop.throwIfAborted();
    return task.prompt.toUpperCase();
}

async function run({ lease, task }: Granted): Promise<void> {
    const lease_id = lease.id;
    const stop = new AbortController();
    let lost = false;
    let renewed = Date.now();
    const keep = async () => {
        const asked = Date.now();
        let state: State;
        try {
            state = await beat(lease_id);
            renewed = asked;
        } catch {
            // Not heard. Once the lease may have run out, it counts as lost.
            state = asked - renewed < ttlSeconds * 1000 ? 'ok' : 'lost';
        }
        lost ||= state === 'lost';
        if (state !== 'ok') stop.abort(new Error('cancelled'));
    };
    await call('POST', `/llm-tasks/${task.id}/heartbeat`, { lease_id });
    const keeper = setInterval(keep, (ttlSeconds * 1000) / 3);
    try {
        const report = await work(task, stop.signal).then(
            output => ({ status: 'success', output }),
            error => ({ status: 'error', error_message: String(error) }),
        );
        if (!lost) await call('POST', `/llm-tasks/${task.id}/complete`, { lease_id, ...report });
    } catch (error) {
        if (!(error instanceof Refused && error.code === 'lease_lost')) throw error;
    } finally {
        clearInterval(keeper);
    }
}

await call('POST', '/workers', { name, capabilities: { max_concurrency: 1 } });
for (let done = 0; tasks === undefined || done < Number(tasks); ) {
    const request = { worker_id: name, session_id, request_id: randomUUID(), wait_seconds: 20, ttl_seconds: ttlSeconds };
    const { leases } = await call<{ leases: Granted[] }>('POST', '/leases', request);
    for (const granted of leases) {
        await run(granted);
        done += 1;
    }
}
await call('POST', `/workers/${name}/leave`, { session_id });
