// The small parts that pages are made of.
import { html, useEffect, useRef, useNow, useState } from './lib.js';
import { signIn } from './api.js';
import { named, t } from './i18n.js';
import { dateTime, DASH, excerpt, iso, relative, shortId, visible } from './format.js';
import { restart } from './live.js';
import { to } from './router.js';

const SPRITE = new URL('../vendor/icons.svg', import.meta.url).pathname;

/** An icon of the sprite; decoration, so screen readers pass it by. */
export const Icon = ({ name, size = 16 }) =>
    html`<svg class="icon" width=${size} height=${size} aria-hidden="true" focusable="false"><use href=${`${SPRITE}#${name}`} /></svg>`;

export const STATUSES = ['queued', 'leased', 'running', 'completed', 'failed', 'dead', 'cancelled'];
const KNOWN = new Set([...STATUSES, 'online', 'offline', 'syncing', 'error', 'unknown', 'draining', 'paused', 'active', 'primary', 'secondary', 'success', 'exhausted', 'released', 'expired']);

/** A status with its colour. The word is always there: colour alone says nothing. */
export const Badge = ({ status, text }) =>
    html`<span class=${`badge s-${KNOWN.has(status) ? status : 'unknown'}`}><span class="dot"></span>${text ?? named('status', visible(status))}</span>`;

/** A moment, as time gone by; the exact one on hover. */
export function Ago({ at }) {
    const present = useNow();
    if (typeof at !== 'number') return html`<span class="muted">${DASH}</span>`;
    return html`<time datetime=${iso(at)} title=${dateTime(at)}>${relative(at, present)}</time>`;
}

export const When = ({ at }) => html`<time datetime=${iso(at)}>${dateTime(at)}</time>`;

/** Text from elsewhere: cannot act on what surrounds it. */
export const Text = ({ value, length = 160 }) => {
    const whole = visible(value);
    const shown = excerpt(whole, length);
    return html`<bdi title=${shown === whole ? undefined : excerpt(whole, 600)}>${shown || DASH}</bdi>`;
};

export const TaskLink = ({ id, text }) =>
    id ? html`<a class="mono" href=${to('tasks', id)} title=${id}>${text ?? shortId(id)}</a>` : html`<span class="muted">${DASH}</span>`;

export const WorkerLink = ({ name }) =>
    name ? html`<a href=${to('workers', name)}><${Text} value=${name} length=${40} /></a>` : html`<span class="muted">${DASH}</span>`;

export const Labels = ({ names }) =>
    names?.length ? html`<span class="labels">${names.map(name => html`<span class="label"><${Text} value=${name} length=${40} /></span>`)}</span>` : null;

/**
 * A button. While what `onClick` returns is under way, pressing it again does nothing; it is not
 * disabled meanwhile, since that would take the focus from it.
 */
export function Button({ icon, kind = 'plain', children, onClick, disabled, type = 'button', ...rest }) {
    const [busy, setBusy] = useState(false);
    const press = async event => {
        if (busy) return;
        const work = onClick?.(event);
        if (!work?.then) return;
        setBusy(true);
        try {
            await work;
        } finally {
            setBusy(false);
        }
    };
    return html`<button type=${type} class=${`button ${kind}`} disabled=${disabled} aria-busy=${busy} onClick=${press} ...${rest}>
        ${icon && html`<${Icon} name=${icon} />`}${children && html`<span>${children}</span>`}
    </button>`;
}

export function Copy({ text, label }) {
    const [done, setDone] = useState(false);
    const copy = async () => {
        try {
            await navigator.clipboard.writeText(text);
            setDone(true);
            setTimeout(() => setDone(false), 1500);
        } catch {
            // The browser refuses it where the page came without TLS: nothing is lost, the text can be selected.
        }
    };
    return html`<button type="button" class="copy" onClick=${copy} title=${t('copy')} aria-label=${label ?? t('copy')}><${Icon} name=${done ? 'check' : 'copy'} size=${14} /></button>`;
}

export const Card = ({ title, aside, children, class: name = '', ...rest }) =>
    html`<section class=${`card ${name}`} ...${rest}>
        ${title && html`<header class="card-head"><h2>${title}</h2>${aside}</header>`}
        ${children}
    </section>`;

/** Nothing there, and what to do about it. */
export const Empty = ({ icon = 'inbox', title, children }) =>
    html`<div class="empty"><${Icon} name=${icon} size=${32} /><p class="empty-title">${title}</p>${children && html`<div class="empty-hint">${children}</div>`}</div>`;

export const Command = ({ text }) => html`<div class="command"><code>${text}</code><${Copy} text=${text} /></div>`;

/** What went wrong, in words. */
export function reasonOf(error) {
    if (error.status === 0) return t('error.network');
    const fields = Object.entries(error.fields ?? {}).map(([name, texts]) => `${name}: ${texts.join(', ')}`);
    const said = [error.message, ...(error.form ?? []), ...fields].filter(Boolean).map(visible).join('; ');
    if (error.wantsKey) return t('error.key');
    if (error.status === 403 && error.code !== 'upstream') return t('error.rights');
    if (error.status === 503) return t('error.away', { said: said || '503' });
    if (error.status === undefined) return t('error.page', { said: visible(error.message) });
    return said || t('error.status', { status: error.status });
}

export const ErrorBox = ({ error, retry }) =>
    html`<div class="error-box" role="alert">
        <${Icon} name="circle-alert" size=${20} />
        <div class="grow">
            <strong>${t('error.title')}</strong>
            <p>${reasonOf(error)}</p>
            ${error.requestId && html`<p class="muted small">${t('error.request', { id: error.requestId })}</p>`}
        </div>
        ${error.wantsKey && html`<${Button} icon="key-round" kind="primary" onClick=${() => signIn().then(given => given && (retry?.(), restart()))}>${t('key.enter')}<//>`}
        ${retry && !error.wantsKey && html`<${Button} icon="refresh-cw" onClick=${retry}>${t('again')}<//>`}
    </div>`;

const Waiting = () =>
    html`<div class="skeleton" role="status" aria-label=${t('loading')}><span></span><span></span><span></span></div>`;

/**
 * The data of a resource, once it is there. Where reading failed: the error, above the old data if
 * there is some, so that nothing old passes for new.
 */
export function Loaded({ of, children }) {
    const { data, error, at, reload } = of;
    if (data === undefined) return error ? html`<${ErrorBox} error=${error} retry=${reload} />` : html`<${Waiting} />`;
    return html`
        ${error && html`<div class="stale" role="alert"><${Icon} name="triangle-alert" /><span class="grow">${t('error.stale', { when: dateTime(at) })} ${reasonOf(error)}</span>
            <${Button} kind="small" onClick=${reload}>${t('again')}<//></div>`}
        ${children(data)}`;
}

/** A dialog: what is behind it cannot be reached, Escape closes it, focus returns to where it was. */
export function Dialog({ title, onClose, children, class: name = '' }) {
    const box = useRef(null);
    useEffect(() => {
        const before = document.activeElement;
        const dialog = box.current;
        dialog.showModal();
        return () => {
            dialog.close();
            before?.focus?.();
        };
    }, []);
    const cancel = event => {
        event.preventDefault();
        onClose();
    };
    return html`<dialog ref=${box} class=${name} aria-labelledby="dialog-title" onCancel=${cancel}>
        <header class="dialog-head"><h2 id="dialog-title">${title}</h2>
            <button type="button" class="copy" onClick=${onClose} aria-label=${t('close')}><${Icon} name="x" size=${18} /></button></header>
        ${children}
    </dialog>`;
}

let fields = 0;

/** An input with its label, a hint and what is wrong with it. */
export function Field({ label, hint, errors, children, wide }) {
    const [id] = useState(() => `field-${(fields += 1)}`);
    return html`<div class=${`field ${wide ? 'wide' : ''}`}>
        <label for=${id}>${label}</label>
        ${children(id, errors?.length ? { 'aria-invalid': 'true', 'aria-describedby': `${id}-error` } : {})}
        ${hint && html`<p class="hint">${hint}</p>`}
        ${errors?.length ? html`<p class="field-error" id=${`${id}-error`}>${errors.map(visible).join(' ')}</p>` : null}
    </div>`;
}

/** A heading of a page; it takes the focus when the page is opened. */
export const Heading = ({ title, children, lead }) =>
    html`<div class="page-head"><div class="grow"><h1 tabindex="-1">${title}</h1>${lead && html`<p class="lead">${lead}</p>`}</div><div class="page-actions">${children}</div></div>`;

/** A table that scrolls by itself where the screen is narrow. */
export const Table = ({ label, head, children, class: name = '' }) =>
    html`<div class=${`table-wrap ${name}`} tabindex="0" role="region" aria-label=${label}><table>
        <thead><tr>${head.map(cell => html`<th scope="col">${cell}</th>`)}</tr></thead><tbody>${children}</tbody></table></div>`;

/** How much of a whole; `tone` is a status whose colour it takes. */
export const Bar = ({ value, max, tone = 'running', label }) =>
    html`<div class="bar" role="meter" aria-label=${label} aria-valuemin="0" aria-valuemax=${max} aria-valuenow=${value}>
        <div class=${`bar-fill t-${tone}`} style=${{ width: `${Math.min(100, Math.max(0, max ? (100 * value) / max : 0))}%` }}></div></div>`;

/** Steps through a list: back to the newest, on to what is older. */
export const Pager = ({ cursor, next, onGo }) =>
    cursor || next
        ? html`<nav class="pager" aria-label=${t('pager')}>
            <${Button} icon="chevron-left" disabled=${!cursor} onClick=${() => onGo('')}>${t('pager.newest')}<//>
            <${Button} disabled=${!next} onClick=${() => onGo(next)}>${t('pager.older')} <${Icon} name="chevron-right" /><//></nav>`
        : null;
