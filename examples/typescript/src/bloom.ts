// The few calls of the HTTP API that the examples need.
const server = process.env['BLOOM_SERVER'] ?? 'http://127.0.0.1:5000';
const key = process.env['BLOOM_API_KEY'];

export interface Task {
    id: string;
    prompt: string;
    status: 'queued' | 'leased' | 'running' | 'completed' | 'failed' | 'dead' | 'cancelled';
}

export interface Granted {
    lease: { id: string; fence: number };
    task: Task;
}

/** The service said no: an HTTP status, and a stable word. */
export class Refused extends Error {
    constructor(readonly status: number, readonly code: string | undefined, text: string) {
        super(`${status}: ${text}`);
    }
}

/** Makes a call below /api/runtime; throws Refused. */
export async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`${server}/api/runtime${path}`, {
        method,
        headers: {
            accept: 'application/json',
            ...(key ? { 'x-runtime-api-key': key } : {}),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(70_000),
    });
    const read = (await answer.json()) as T & { error?: unknown; code?: string };
    if (!answer.ok) throw new Refused(answer.status, read.code, JSON.stringify(read.error));
    return read;
}

export const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));
