// The event stream, one connection at a time. It goes on where it broke off; while there is none, a
// tick every few seconds has the pages ask again.
import { fetchWithKey, RUNTIME } from './api.js';
import { store } from './lib.js';

/** How long nothing may come before the connection counts as dead; the service says something every 15 s. */
const SILENCE_MS = 45000;
const POLL_MS = 3000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10000;
/** How long to poll where the service has no stream, or has more events than a page can follow. */
const REST_MS = 60000;
/** More events a second than this are not worth following one by one. */
const FLOOD = 400;
/** How long a page nobody looks at keeps its connection. */
const HIDDEN_MS = 60000;

/** `connecting`, `live`, `polling` (no stream, or too many events), `offline` (no answer at all). */
export const connection = store('connecting');

const listeners = new Set();
let filter = '';
let cursor = '';
let abort = null;
let flood = { since: 0, count: 0 };

/** Calls `listener` with each event, and with {action: 'tick'} when it is time to ask again. */
export function listen(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
}

function tell(event) {
    for (const listener of [...listeners]) listener(event);
}

const tick = () => tell({ action: 'tick' });

/** Follows the events of this task, or all. */
export function follow(task) {
    const wanted = task ? `task=${encodeURIComponent(task)}` : '';
    if (wanted === filter && abort) return;
    filter = wanted;
    cursor = '';
    restart();
}

/** Connects anew at once, e.g. with another key. */
export function restart() {
    abort?.abort();
    abort = new AbortController();
    run(abort.signal);
}

const pause = (ms, signal) =>
    new Promise(resolve => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve();
        }, { once: true });
    });

async function run(signal) {
    let wait = RETRY_MIN_MS;
    if (connection.get() !== 'offline') connection.set('connecting');
    while (!signal.aborted) {
        const started = Date.now();
        const end = await once(signal);
        if (signal.aborted) return;
        if (Date.now() - started > 5000) wait = RETRY_MIN_MS;
        if (end === 'rest') {
            connection.set('polling');
            cursor = '';
            await poll(REST_MS, signal);
            continue;
        }
        connection.set(end);
        await poll(wait * (0.5 + Math.random()), signal);
        wait = Math.min(wait * 2, RETRY_MAX_MS);
    }
}

async function poll(ms, signal) {
    const until = Date.now() + ms;
    while (!signal.aborted && Date.now() < until) {
        await pause(Math.min(POLL_MS, until - Date.now()), signal);
        if (!signal.aborted) tick();
    }
}

/** One connection, until it ends; then what to show while there is none. */
async function once(outer) {
    const inner = new AbortController();
    const signal = AbortSignal.any([outer, inner.signal]);
    let silence = 0;
    const heard = () => {
        clearTimeout(silence);
        silence = setTimeout(() => inner.abort(), SILENCE_MS);
    };
    try {
        const headers = { accept: 'text/event-stream', ...(cursor ? { 'last-event-id': cursor } : {}) };
        heard();
        const response = await fetchWithKey(`${RUNTIME}/events${filter ? `?${filter}` : ''}`, { headers, signal });
        if (!response.ok || !(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
            cursor = '';
            return response.status >= 500 ? 'connecting' : 'rest';
        }
        connection.set('live');
        // Whatever happened since the page was drawn, and before the stream began.
        tick();
        return await read(response.body, heard);
    } catch (error) {
        return error.status ? 'polling' : 'offline';
    } finally {
        clearTimeout(silence);
        inner.abort();
    }
}

async function read(body, heard) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
        const { value, done } = await reader.read();
        if (done) return 'connecting';
        heard();
        const parts = (rest + value).split(/\r?\n\r?\n/);
        rest = parts.pop();
        for (const text of parts) take(text);
        if (isFlood(parts.length)) return 'rest';
    }
}

/** One event of the stream. */
function take(text) {
    const fields = Object.create(null);
    for (const line of text.split(/\r?\n/)) {
        const colon = line.indexOf(':');
        if (colon <= 0) continue;
        const name = line.slice(0, colon);
        const value = line.slice(colon + 1).replace(/^ /, '');
        fields[name] = name === 'data' && fields.data !== undefined ? `${fields.data}\n${value}` : value;
    }
    if (fields.id) cursor = fields.id;
    if (fields.data === undefined) return;
    try {
        tell({ action: fields.event ?? '', ...JSON.parse(fields.data) });
    } catch {
        // Not one of ours. What it would have said, the next tick finds out.
        tick();
    }
}

function isFlood(count) {
    const present = Date.now();
    if (present - flood.since > 1000) flood = { since: present, count: 0 };
    flood.count += count;
    return flood.count > FLOOD;
}

let hidden = 0;
document.addEventListener('visibilitychange', () => {
    clearTimeout(hidden);
    if (document.hidden) {
        hidden = setTimeout(() => {
            abort?.abort();
            abort = null;
        }, HIDDEN_MS);
    } else if (!abort) {
        restart();
    }
});
addEventListener('online', () => abort && restart());
