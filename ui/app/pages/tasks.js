// All tasks, by what one looks for, a page at a time; and what can be done to many at once.
import { html, useEffect, useState } from '../lib.js';
import { get, page, post, RUNTIME } from '../api.js';
import { number } from '../format.js';
import { t } from '../i18n.js';
import { Ago, Badge, Button, Card, Command, Empty, Heading, Icon, Loaded, Pager, STATUSES, Table, TaskLink, Text, WorkerLink } from '../parts.js';
import { useResource } from '../resource.js';
import { go, to } from '../router.js';
import { act, bad, confirm } from '../talk.js';

const PAGE = 50;
/** How long to wait for the next letter before the list is asked for. */
const TYPING_MS = 350;
/** Filters beside the status: name in the address and in the API. */
const FILTERS = ['queue', 'agent', 'context_id', 'worker', 'label'];

function useTyped(value, change) {
    const [typed, setTyped] = useState(value);
    useEffect(() => setTyped(value), [value]);
    useEffect(() => {
        if (typed === value) return undefined;
        const timer = setTimeout(() => change(typed), TYPING_MS);
        return () => clearTimeout(timer);
    }, [typed]);
    return [typed, setTyped];
}

function Input({ name, value, change, list }) {
    const [typed, setTyped] = useTyped(value, change);
    return html`<label class="filter"><span>${t(`task.${name}`)}</span><input name=${name} value=${typed} list=${list} maxlength="512" autocomplete="off" onInput=${event => setTyped(event.target.value)} /></label>`;
}

function Search({ value, change }) {
    const [typed, setTyped] = useTyped(value, change);
    return html`<label class="search"><${Icon} name="search" /><span class="hidden">${t('tasks.search')}</span>
        <input type="search" data-search name="q" placeholder=${t('tasks.search')} value=${typed} maxlength="200" autocomplete="off" onInput=${event => setTyped(event.target.value)} /></label>`;
}

function Filters({ query, change, queues }) {
    const used = FILTERS.filter(name => query[name]).length;
    return html`<div class="filters">
        <div class="filter-row">
            <${Search} value=${query.q ?? ''} change=${q => change({ q })} />
            <div class="chips" role="group" aria-label=${t('task.status')}>
                <button type="button" class="chip" aria-pressed=${!query.status} onClick=${() => change({ status: '' })}>${t('all')}</button>
                ${STATUSES.map(status => html`<button key=${status} type="button" class="chip" data-status=${status} aria-pressed=${query.status === status} onClick=${() => change({ status })}>${t(`status.${status}`)}</button>`)}
            </div>
        </div>
        <details class="more-filters" open=${used > 0}>
            <summary>${t('tasks.filters')}${used ? ` (${used})` : ''}</summary>
            <div class="filter-grid">
                ${FILTERS.map(name => html`<${Input} key=${name} name=${name} value=${query[name] ?? ''} change=${value => change({ [name]: value })} list=${name === 'queue' ? 'queue-names' : undefined} />`)}
                <datalist id="queue-names">${queues.map(queue => html`<option key=${queue.name} value=${queue.name} />`)}</datalist>
            </div>
        </details>
    </div>`;
}

function Row({ task, chosen, choose }) {
    return html`<tr class=${chosen ? 'chosen' : ''}>
        <td class="tick"><input type="checkbox" checked=${chosen} onChange=${event => choose(event.target.checked)} aria-label=${t('tasks.choose', { id: task.id })} /></td>
        <td><${Badge} status=${task.status} />${task.cancel_requested_at && task.lease_id && !task.finished_at ? html` <span class="muted small">${t('task.stopping')}</span>` : ''}</td>
        <td class="prompt-cell"><a href=${to('tasks', task.id)}><${Text} value=${task.prompt} length=${110} /></a>
            <span class="muted small"><${TaskLink} id=${task.id} /> · <${Text} value=${task.context_id} length=${48} /></span></td>
        <td><${Text} value=${task.agent_slug} length=${32} /></td>
        <td><${Text} value=${task.queue} length=${32} /></td>
        <td><${WorkerLink} name=${task.worker_id} /></td>
        <td class="number">${task.attempts} / ${task.max_attempts}</td>
        <td class="when"><${Ago} at=${task.created_at} /></td>
    </tr>`;
}

/** What became of each of many tasks, in one sentence. */
function outcome(answer) {
    const failed = answer.tasks.filter(task => task.error);
    if (failed.length) bad(t('tasks.bulk.failed', { n: failed.length, said: failed[0].error }));
    const done = answer.tasks.length - failed.length;
    return done ? t('tasks.bulk.done', { n: done }) : '';
}

function Bulk({ ids, done }) {
    const run = async verb => {
        const sure = verb === 'requeue' || (await confirm({ title: t('task.cancel'), text: t('tasks.cancel.ask', { n: ids.length }), action: t('task.cancel'), danger: true }));
        if (sure && (await act(() => post(`${RUNTIME}/llm-tasks/${verb}`, { ids }), outcome))) done();
    };
    return html`<div class="bulk" role="region" aria-label=${t('tasks.bulk')}>
        <strong class="grow">${t('tasks.chosen', { n: ids.length })}</strong>
        <${Button} icon="rotate-ccw" onClick=${() => run('requeue')} data-bulk="requeue">${t('task.requeue')}<//>
        <${Button} icon="ban" kind="danger" onClick=${() => run('cancel')} data-bulk="cancel">${t('task.cancel')}<//>
        <${Button} onClick=${done}>${t('tasks.choose.none')}<//>
    </div>`;
}

const Nothing = ({ filtered }) => filtered
    ? html`<${Empty} icon="search" title=${t('tasks.nothing')}><p>${t('tasks.nothing.hint')}</p><${Button} onClick=${() => go(to('tasks'))}>${t('tasks.all')}<//><//>`
    : html`<${Empty} title=${t('tasks.empty')}><p>${t('tasks.empty.hint')}</p><${Command} text="bloom task submit --context demo --agent writer 'Hello'" /><//>`;

function List({ items, next, query, chosen, setChosen, turn, reload }) {
    const toggle = (id, on) => {
        const more = new Set(chosen);
        if (on) more.add(id);
        else more.delete(id);
        setChosen(more);
    };
    const ids = items.map(task => task.id).filter(id => chosen.has(id));
    const isAll = ids.length === items.length;
    const everything = html`<input type="checkbox" checked=${isAll} onChange=${() => setChosen(new Set(isAll ? [] : items.map(task => task.id)))} aria-label=${t('tasks.choose.all')} />`;
    const head = [everything, ...['status', 'prompt', 'agent', 'queue', 'worker', 'attempts', 'created'].map(name => t(`task.${name}`))];
    return html`
        ${ids.length > 0 && html`<${Bulk} ids=${ids} done=${() => { setChosen(new Set()); reload(); }} />`}
        <${Table} label=${t('nav.tasks')} head=${head} class="tasks">${items.map(task => html`<${Row} key=${task.id} task=${task} chosen=${chosen.has(task.id)} choose=${on => toggle(task.id, on)} />`)}<//>
        <div class="table-foot"><span class="muted small">${t('tasks.shown', { n: items.length })}</span><${Pager} cursor=${query.cursor} next=${next} onGo=${turn} /></div>`;
}

export function Tasks({ query }) {
    const { cursor, ...filters } = query;
    const [chosen, setChosen] = useState(new Set());
    const tasks = useResource(
        signal => page(`${RUNTIME}/llm-tasks`, { query: { ...filters, cursor, limit: PAGE }, signal }),
        [JSON.stringify(query)],
        { wants: event => !event.task_id || !cursor },
    );
    const queues = useResource(signal => get(`${RUNTIME}/queues`, { signal }), [], { wants: () => false, every: 60000 });
    const stats = useResource(signal => get(`${RUNTIME}/stats`, { signal }), []);
    const change = changes => {
        setChosen(new Set());
        go(to('tasks', '', { ...filters, ...changes }), true);
    };
    const turn = target => go(to('tasks', '', { ...filters, cursor: target }));
    const filtered = Object.values(filters).some(Boolean);
    return html`
        <${Heading} title=${t('nav.tasks')} lead=${stats.data ? t('tasks.lead', { n: stats.data.tasks.total, shown: number(stats.data.tasks.total) }) : ' '}>
            <${Button} kind="primary" icon="plus" onClick=${() => go(to('tasks', 'new'))}>${t('tasks.new')}<//>
        <//>
        <${Card} class="flush">
            <${Filters} query=${query} change=${change} queues=${queues.data ?? []} />
            <${Loaded} of=${tasks}>${({ items, next }) => items.length || next || cursor
                ? html`<${List} items=${items} next=${next} query=${query} chosen=${chosen} setChosen=${setChosen} turn=${turn} reload=${tasks.reload} />`
                : html`<${Nothing} filtered=${filtered} />`}<//>
        <//>`;
}
