// Data of a page: read when it is shown, read again when something happened, kept while that fails.
import { useCallback, useEffect, useRef, useState } from './lib.js';
import { now } from './lib.js';
import { listen } from './live.js';

/** The least time between two readings that events ask for. */
const CALM_MS = 1000;
/** How often data is read again though nothing happened: beats and counts have no events. */
const EVERY_MS = 20000;

/**
 * What `load(signal)` yields: {data, error, at, busy, reload}. `wants(event)` says which events make
 * it stale; a tick always does. Where `deps` change, it is read anew and the old data stays meanwhile.
 */
export function useResource(load, deps, { wants = () => true, every = EVERY_MS } = {}) {
    const [state, setState] = useState({ data: undefined, error: null, at: 0, busy: true });
    const latest = useRef({});
    latest.current = { load, wants };
    const control = useRef(null);

    useEffect(() => {
        const reader = reads(() => latest.current.load, setState);
        control.current = reader;
        reader.now();
        const unlisten = listen(event => {
            if (event.action === 'tick' || latest.current.wants(event)) reader.soon();
        });
        const timer = setInterval(reader.soon, every);
        return () => {
            unlisten();
            clearInterval(timer);
            reader.end();
        };
    }, deps);

    const reload = useCallback(() => control.current?.now(), []);
    return { ...state, reload };
}

/** Reads that never overlap: one that is asked for meanwhile happens afterwards. */
function reads(load, setState) {
    const abort = new AbortController();
    let running = false;
    let again = false;
    let last = 0;
    let timer = 0;

    async function read() {
        clearTimeout(timer);
        timer = 0;
        if (running) {
            again = true;
            return;
        }
        running = true;
        last = Date.now();
        setState(state => ({ ...state, busy: true }));
        let outcome;
        try {
            outcome = { data: await load()(abort.signal), error: null, at: now(), busy: false };
        } catch (error) {
            outcome = { error, busy: false };
        }
        running = false;
        if (abort.signal.aborted) return;
        setState(state => ({ ...state, ...outcome }));
        if (again) {
            again = false;
            soon();
        }
    }

    function soon() {
        if (running) again = true;
        else if (!timer) timer = setTimeout(read, Math.max(60, last + CALM_MS - Date.now()));
    }

    return {
        now: read,
        soon,
        end() {
            clearTimeout(timer);
            abort.abort();
        },
    };
}
