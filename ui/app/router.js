// Where the person is: `#/tasks/ID?status=queued`. The part after # never reaches the service.
import { store } from './lib.js';

function read() {
    const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
    let parts;
    try {
        parts = path.split('/').filter(Boolean).map(decodeURIComponent);
    } catch {
        parts = [path];
    }
    return { page: parts[0] ?? 'overview', id: parts[1] ?? '', query: Object.fromEntries(new URLSearchParams(query)) };
}

export const route = store(read());
addEventListener('hashchange', () => route.set(read()));

/** The address of a page. Empty values of the query are left out. */
export function to(page, id = '', query = {}) {
    const pairs = Object.entries(query).filter(([, value]) => value !== '' && value !== undefined && value !== null);
    const tail = pairs.length ? `?${new URLSearchParams(pairs)}` : '';
    return `#/${page}${id ? `/${encodeURIComponent(id)}` : ''}${tail}`;
}

/** Goes there. With `replace` without a step in the history. */
export function go(target, replace = false) {
    if (!replace) {
        location.hash = target;
        return;
    }
    history.replaceState(null, '', target);
    route.set(read());
}
