// The audit trail: who did what to what, and whether the trail itself is whole.
import { html, useEffect, useState } from '../lib.js';
import { get, page, RUNTIME } from '../api.js';
import { number } from '../format.js';
import { named, t } from '../i18n.js';
import { Button, Card, Empty, ErrorBox, Heading, Icon, Loaded, Pager, Table, TaskLink, Text, When, WorkerLink } from '../parts.js';
import { useResource } from '../resource.js';
import { go, to } from '../router.js';

const PAGE = 100;
/** How many tasks one request verifies. */
const VERIFIED = 5000;
const FILTERS = ['entity_type', 'entity_id', 'actor', 'action'];
const TYPES = ['llm_task', 'worker', 'queue', 'setting', 'key', 'membridge_project'];
const TYPING_MS = 400;

function Filter({ name, value, change }) {
    const [typed, setTyped] = useState(value);
    useEffect(() => setTyped(value), [value]);
    useEffect(() => {
        if (typed === value) return undefined;
        const timer = setTimeout(() => change(typed), TYPING_MS);
        return () => clearTimeout(timer);
    }, [typed]);
    const search = name === 'entity_id' ? { 'data-search': true } : {};
    return html`<label class="filter"><span>${t(`audit.${name}`)}</span><input name=${name} ...${search} value=${typed} list=${name === 'entity_type' ? 'entity-types' : undefined} maxlength="255" autocomplete="off" onInput=${event => setTyped(event.target.value)} /></label>`;
}

const Entity = ({ row }) => row.task_id
    ? html`<span class="muted">${named('entity', row.entity_type)}</span> <${TaskLink} id=${row.task_id} />`
    : html`<span class="muted">${named('entity', row.entity_type)}</span> ${row.entity_type === 'worker' ? html`<${WorkerLink} name=${row.entity_id} />` : html`<${Text} value=${row.entity_id} length=${48} />`}`;

const Row = ({ row }) => html`<tr><td class="when"><${When} at=${row.timestamp} /></td><td><strong>${named('action', row.action)}</strong></td><td><${Entity} row=${row} /></td>
    <td><${Text} value=${row.actor} length=${40} /></td><td class="prompt-cell"><${Text} value=${row.detail} length=${140} /></td></tr>`;

/** Asks for page after page until the whole trail was looked at. */
async function verify(show) {
    const seen = { checked: 0, problems: [] };
    let cursor = '';
    do {
        const answer = await get(`${RUNTIME}/audit/verify`, { query: { cursor, limit: VERIFIED } });
        seen.checked += answer.tasks;
        if (answer.bad) seen.problems.push(answer.bad);
        cursor = answer.next_cursor ?? '';
        show({ ...seen, problems: [...seen.problems], done: !cursor });
    } while (cursor);
}

function Verify() {
    const [state, setState] = useState(null);
    const [error, setError] = useState(null);
    const run = async () => {
        setError(null);
        setState({ checked: 0, problems: [], done: false });
        try {
            await verify(setState);
        } catch (failed) {
            setState(null);
            setError(failed);
        }
    };
    const isWhole = state?.done && state.problems.length === 0;
    return html`<${Card} title=${t('verify')} aside=${html`<${Button} icon="shield-check" onClick=${run} data-act="verify">${t('verify.run')}<//>`}>
        ${error && html`<${ErrorBox} error=${error} retry=${run} />`}
        ${!state && !error && html`<p class="muted">${t('verify.hint')}</p>`}
        ${state && html`<p class=${`verdict ${isWhole ? 'good' : state.problems.length ? 'bad' : ''}`} role="status" data-verdict=${state.done ? (isWhole ? 'whole' : 'broken') : 'running'}><${Icon} name=${isWhole ? 'check' : state.problems.length ? 'circle-alert' : 'refresh-cw'} size=${18} />
            ${isWhole ? t('verify.whole', { n: state.checked, shown: number(state.checked) }) : state.problems.length ? t('verify.broken', { n: state.problems.length }) : t('verify.running', { shown: number(state.checked) })}</p>
            <ul>${state.problems.slice(0, 50).map(problem => html`<li key=${problem.task_id}><${TaskLink} id=${problem.task_id} /> <${Text} value=${problem.text} length=${300} /></li>`)}</ul>`}
    <//>`;
}

export function Audit({ query }) {
    const { cursor, ...filters } = query;
    const all = useResource(signal => page(`${RUNTIME}/audit`, { query: { ...filters, cursor, limit: PAGE }, signal }), [JSON.stringify(query)], { wants: () => !cursor });
    const change = changes => go(to('audit', '', { ...filters, ...changes }), true);
    const filtered = FILTERS.some(name => filters[name]);
    return html`
        <${Heading} title=${t('nav.audit')} lead=${t('audit.lead')} />
        <${Verify} />
        <${Card} class="flush">
            <div class="filters"><div class="filter-grid">${FILTERS.map(name => html`<${Filter} key=${name} name=${name} value=${filters[name] ?? ''} change=${value => change({ [name]: value })} />`)}
                <datalist id="entity-types">${TYPES.map(type => html`<option key=${type} value=${type} />`)}</datalist></div></div>
            <${Loaded} of=${all}>${({ items, next }) => items.length || next || cursor
                ? html`<${Table} label=${t('nav.audit')} head=${['time', 'action', 'entity', 'actor', 'detail'].map(name => t(`audit.${name}`))}>${items.map(row => html`<${Row} key=${row.id} row=${row} />`)}<//>
                    <div class="table-foot"><span></span><${Pager} cursor=${cursor} next=${next} onGo=${target => go(to('audit', '', { ...filters, cursor: target }))} /></div>`
                : html`<${Empty} icon="scroll-text" title=${filtered ? t('audit.nothing') : t('audit.empty')}><p>${filtered ? t('tasks.nothing.hint') : t('audit.empty.hint')}</p><//>`}<//>
        <//>`;
}
