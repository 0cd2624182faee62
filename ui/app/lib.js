// What every module needs of the libraries: templates, hooks, and the clock.
import { h, render, Fragment } from '../vendor/preact.js';
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../vendor/hooks.js';
import htm from '../vendor/htm.js';

export const html = htm.bind(h);
export { Fragment, render, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState };

/** A value that components watch. `set` takes the next value. */
export function store(value) {
    const watchers = new Set();
    return {
        get: () => value,
        set(next) {
            if (Object.is(value, next)) return;
            value = next;
            for (const watcher of [...watchers]) watcher(next);
        },
        watch(watcher) {
            watchers.add(watcher);
            return () => watchers.delete(watcher);
        },
    };
}

/** The present value of a store; the component is drawn anew when it changes. */
export function useStore(source) {
    const [value, setValue] = useState(source.get);
    useEffect(() => {
        setValue(() => source.get());
        return source.watch(next => setValue(() => next));
    }, [source]);
    return value;
}

// How far the service's clock is ahead of this machine's, in ms. Countdowns are measured by it.
let skew = 0;

/** Learns the service's clock from the `Date` of an answer, which has whole seconds. */
export function learnClock(date) {
    const ahead = Date.parse(date ?? '') + 500 - Date.now();
    if (Number.isFinite(ahead)) skew = Math.abs(ahead) > 1500 ? ahead : 0;
}

/** Now, by the service's clock, in ms. */
export const now = () => Date.now() + skew;

const ticks = store(0);
setInterval(() => ticks.set(ticks.get() + 1), 1000);

/** Now, kept up to date every second. */
export function useNow() {
    useStore(ticks);
    return now();
}
