// What the programs of a task print, as they print it.
import { html, useEffect, useLayoutEffect, useRef, useState } from '../lib.js';
import { get, RUNTIME } from '../api.js';
import { visible, withoutColours } from '../format.js';
import { t } from '../i18n.js';
import { Card, reasonOf } from '../parts.js';

/** How long an answer may wait for more. Below the time after which a call counts as lost. */
const WAIT_SECONDS = 20;
/** How many characters are kept on the page: the last ones. */
const KEPT = 200000;
const RETRY_MS = 2000;
/** Nearer to the end than this, the reader follows it. */
const NEAR_PX = 40;

const pause = (ms, signal) =>
    new Promise(resolve => {
        const timer = setTimeout(resolve, ms);
        signal.addEventListener('abort', () => { clearTimeout(timer); resolve(); }, { once: true });
    });

/** Reads until the log ends or `signal` does. */
async function follow(id, signal, add, fail) {
    let after = '';
    while (!signal.aborted) {
        try {
            const answer = await get(`${RUNTIME}/llm-tasks/${id}/log`, { query: { after, wait_seconds: after ? WAIT_SECONDS : 0, limit: 500 }, signal });
            if (signal.aborted) return;
            after = answer.next_cursor;
            add(answer.chunks, answer.end);
            if (answer.end) return;
        } catch (error) {
            if (signal.aborted) return;
            fail(error);
            if (error.status === 404) return;
            await pause(RETRY_MS, signal);
        }
    }
}

const written = chunks => {
    let attempt = 0;
    return chunks.map(chunk => {
        const begins = chunk.attempt !== attempt;
        attempt = chunk.attempt;
        return (begins ? `${t('log.attempt', { n: chunk.attempt })}\n` : '') + visible(withoutColours(chunk.text));
    }).join('');
};

export function Log({ id, isLive, epoch, hasRun }) {
    const [chunks, setChunks] = useState([]);
    const [error, setError] = useState(null);
    const [ended, setEnded] = useState(false);
    const box = useRef(null);
    const follows = useRef(true);

    useEffect(() => {
        const abort = new AbortController();
        setChunks([]);
        setEnded(false);
        follow(id, abort.signal, (more, end) => {
            setError(null);
            setEnded(end);
            if (more.length) setChunks(old => kept([...old, ...more]));
        }, setError);
        return () => abort.abort();
    }, [id, epoch]);

    useLayoutEffect(() => {
        if (follows.current && box.current) box.current.scrollTop = box.current.scrollHeight;
    }, [chunks]);

    const scrolled = ({ target }) => {
        follows.current = target.scrollHeight - target.scrollTop - target.clientHeight < NEAR_PX;
    };
    if (!chunks.length && !error && !(isLive && hasRun)) return null;
    return html`<${Card} title=${t('log')} aside=${html`<span class=${`live-mark ${isLive && !ended ? 'on' : ''}`}>${isLive && !ended ? t('log.live') : t('log.ended')}</span>`}>
        ${error && html`<p class="field-error" role="alert">${reasonOf(error)}</p>`}
        <pre class="log" ref=${box} onScroll=${scrolled} tabindex="0" role="log" aria-label=${t('log')}>${chunks.length ? written(chunks) : t('log.wait')}</pre>
    <//>`;
}

/** The last so many characters. */
function kept(chunks) {
    let size = 0;
    let from = chunks.length;
    while (from > 0 && size < KEPT) size += chunks[(from -= 1)].text.length;
    return chunks.slice(from);
}
