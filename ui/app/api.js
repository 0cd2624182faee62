// Calls of the public API. The key is kept in this tab's session only, and never put into a URL.
import { learnClock, store } from './lib.js';

export const RUNTIME = '/api/runtime';
export const MEMBRIDGE = '/api/membridge';
const TIMEOUT_MS = 30000;
const STORED = 'bloom-api-key';

function remembered() {
    try {
        return sessionStorage.getItem(STORED) ?? '';
    } catch {
        return '';
    }
}

/** The key in use; '' for none. */
export const key = store(remembered());
key.watch(value => {
    try {
        if (value) sessionStorage.setItem(STORED, value);
        else sessionStorage.removeItem(STORED);
    } catch {
        // Storage is switched off: the key lasts as long as the page.
    }
});

/** What the person is being asked: null, or {wrong, answer}. The shell shows it. */
export const keyQuestion = store(null);
let asking = null;
let declined = false;

/**
 * Asks the person for a key, once for all requests that need one. Resolves to whether one was given.
 * Whoever closed the question is not asked again before they ask for it themselves.
 */
export function askForKey(wrong) {
    if (declined) return Promise.resolve(false);
    asking ??= new Promise(resolve => {
        keyQuestion.set({
            wrong,
            answer(value) {
                asking = null;
                declined = !value;
                keyQuestion.set(null);
                if (value) key.set(value);
                resolve(Boolean(value));
            },
        });
    });
    return asking;
}

/** The person wants to give a key. Resolves to whether one was given. */
export function signIn() {
    declined = false;
    return askForKey(false);
}

export class ApiError extends Error {
    constructor(status, body, headers) {
        const fields = body && typeof body.error === 'object' ? body.error : null;
        super(typeof body?.error === 'string' ? body.error : '');
        this.status = status;
        this.code = body?.code ?? '';
        this.requestId = body?.request_id ?? headers?.get('x-request-id') ?? '';
        /** Texts by field, where fields were refused. */
        this.fields = fields?.fieldErrors ?? {};
        this.form = fields?.formErrors ?? [];
    }

    /** Whether this service refused the key, and not Membridge its own. */
    get wantsKey() {
        return this.status === 401 && this.code !== 'upstream';
    }
}

/** The headers that every request carries. */
export const authorised = (headers = {}) => (key.get() ? { ...headers, 'x-runtime-api-key': key.get() } : headers);

function address(path, query) {
    const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== '');
    return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/**
 * fetch, with the key; asks for one where the service wants it. Throws ApiError where no answer came
 * within `timeout` ms, if that is given: the time that a person needs for the key does not count.
 */
export async function fetchWithKey(url, { timeout, signal, ...options } = {}) {
    for (;;) {
        const used = key.get();
        let response;
        try {
            const headers = authorised(options.headers);
            const ends = [signal, timeout && AbortSignal.timeout(timeout)].filter(Boolean);
            response = await fetch(url, { ...options, headers, signal: AbortSignal.any(ends), credentials: 'omit', cache: 'no-store' });
        } catch (error) {
            if (signal?.aborted) throw error;
            throw new ApiError(0, null, null);
        }
        learnClock(response.headers.get('date'));
        if (response.status !== 401) return response;
        const refusal = await failure(response);
        // Somebody may have given another key while this request was under way.
        if (!refusal.wantsKey || (used === key.get() && !(await askForKey(used !== '')))) throw refusal;
    }
}

async function failure(response) {
    let body = null;
    try {
        body = await response.json();
    } catch {
        // A proxy's page, or nothing: the status says it all.
    }
    return new ApiError(response.status, body, response.headers);
}

async function call(method, path, { query, body, signal, headers } = {}) {
    const response = await fetchWithKey(address(path, query), {
        method,
        headers: { accept: 'application/json', ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
        body: body === undefined ? undefined : JSON.stringify(body),
        timeout: TIMEOUT_MS,
        signal,
    });
    if (!response.ok) throw await failure(response);
    return response;
}

/** The JSON at `path`. */
export const get = async (path, options) => (await call('GET', path, options)).json();

/** A page of a list: {items, next}; `next` is the cursor of the following page, or null. */
export async function page(path, options) {
    const response = await call('GET', path, options);
    return { items: await response.json(), next: response.headers.get('x-next-cursor') };
}

export const post = async (path, body, options) => (await call('POST', path, { ...options, body })).json();
export const remove = async (path, options) => (await call('DELETE', path, options)).json();

/** Has the browser save what is at `url`. */
function save(url, attributes) {
    const link = document.createElement('a');
    Object.assign(link, { href: url, rel: 'noreferrer', ...attributes });
    link.click();
}

/**
 * Hands an artifact's content to the browser as a file. Where the service sends the browser on to
 * object storage, which the page itself may not ask, it is saved from there.
 */
export async function download(artifact) {
    const path = `${RUNTIME}/artifacts/${artifact.id}`;
    let response;
    try {
        response = await call('GET', `${path}/content`, { headers: { accept: '*/*' } });
    } catch (error) {
        if (error.status !== 0 || !artifact.url) throw error;
        const { url } = await get(`${path}/link`);
        if (!/^https?:/.test(url)) throw error;
        save(url, { target: '_blank' });
        return;
    }
    const url = URL.createObjectURL(await response.blob());
    save(url, { download: `${artifact.id}.txt` });
    setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** A part of a path. */
export const part = text => encodeURIComponent(text);
