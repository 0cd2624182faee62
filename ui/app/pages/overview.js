// How the service is doing: what went through, what waits, who works, and what is wrong.
import { html, useMemo, useNow, useState } from '../lib.js';
import { get, page, RUNTIME } from '../api.js';
import { Chart } from '../chart.js';
import { duration, number, percent } from '../format.js';
import { named, t } from '../i18n.js';
import { Ago, Badge, Button, Card, Command, Empty, Heading, Icon, Loaded, STATUSES, TaskLink, Text } from '../parts.js';
import { useResource } from '../resource.js';
import { to } from '../router.js';

const WINDOWS = ['hour', 'day'];
const RECENT = 8;

async function load(window, signal) {
    const [overview, stats, queues, recent] = await Promise.all([
        get(`${RUNTIME}/overview`, { query: { window }, signal }),
        get(`${RUNTIME}/stats`, { signal }),
        get(`${RUNTIME}/queues`, { signal }),
        page(`${RUNTIME}/audit`, { query: { limit: RECENT }, signal }),
    ]);
    return { overview, stats, queues, recent: recent.items };
}

const Tile = ({ label, value, note, tone = '', href }) => html`<div class=${`tile ${tone}`}>
    <span class="tile-label">${label}</span>
    <span class="tile-value">${href ? html`<a href=${href}>${value}</a>` : value}</span>
    <span class="tile-note">${note}</span></div>`;

function Tiles({ overview, stats }) {
    const present = useNow();
    const { workers, leases, oldest_waiting: oldest, success_rate: rate } = overview;
    const of = status => stats.tasks.by_status[status] ?? 0;
    const age = oldest && oldest.age_ms + (present - overview.at);
    return html`<div class="tiles">
        <${Tile} label=${t('overview.success')} value=${percent(rate)} note=${rate === null ? t('overview.success.none') : t('overview.success.note')} tone=${rate !== null && rate < 0.9 ? 'warn' : ''} />
        <${Tile} label=${t('overview.workers')} value=${`${number(workers.online)} / ${number(workers.total)}`} note=${t('overview.workers.note')} href=${to('workers')} tone=${workers.total && !workers.online ? 'warn' : ''} />
        <${Tile} label=${t('overview.leases')} value=${number(leases.active)} note=${t('overview.leases.note', { n: of('running') })} href=${to('tasks', '', { status: 'running' })} />
        <${Tile} label=${t('overview.waiting')} value=${number(of('queued'))} note=${t('overview.waiting.note')} href=${to('tasks', '', { status: 'queued' })} />
        <${Tile} label=${t('overview.oldest')} value=${oldest ? duration(age) : t('none')} note=${oldest ? html`<${TaskLink} id=${oldest.task_id} />` : t('overview.oldest.none')} />
    </div>`;
}

const Warnings = ({ list }) => list.length
    ? html`<ul class="warnings" aria-label=${t('overview.warnings')}>${list.map(({ code, text }) => html`<li key=${`${code} ${text}`}><${Icon} name="triangle-alert" size=${18} /><div><strong>${named('warning', code)}</strong> <${Text} value=${text} length=${400} /></div></li>`)}</ul>`
    : null;

/** The columns that uPlot wants, of these members of the points. */
const columns = (points, ...names) => [points.map(point => point.at / 1000), ...names.map(name => points.map(point => point[name] ?? null))];
const sum = (points, name) => points.reduce((total, point) => total + (point[name] ?? 0), 0);
const lastOf = (points, name) => points.findLast(point => typeof point[name] === 'number')?.[name];

function Charts({ points }) {
    const flow = useMemo(() => columns(points, 'submitted', 'completed', 'failed', 'dead'), [points]);
    const depth = useMemo(() => columns(points, 'depth'), [points]);
    const wait = useMemo(() => columns(points, 'wait_p50_ms', 'wait_p95_ms'), [points]);
    return html`<div class="charts">
        <${Card} class="wide"><${Chart} title=${t('chart.flow')} data=${flow} format=${number}
            summary=${t('chart.flow.sum', { submitted: number(sum(points, 'submitted')), completed: number(sum(points, 'completed')), failed: number(sum(points, 'failed') + sum(points, 'dead')) })}
            series=${[{ label: t('chart.submitted'), tone: '--accent', fill: true }, { label: t('chart.completed'), tone: '--completed' }, { label: t('chart.failed'), tone: '--failed' }, { label: t('chart.dead'), tone: '--dead' }]} /><//>
        <${Card}><${Chart} title=${t('chart.depth')} data=${depth} format=${number} summary=${t('chart.depth.sum', { n: number(lastOf(points, 'depth') ?? 0) })}
            series=${[{ label: t('chart.depth'), tone: '--leased', fill: true }]} /><//>
        <${Card}><${Chart} title=${t('chart.wait')} data=${wait} format=${duration} summary=${t('chart.wait.sum', { p50: duration(lastOf(points, 'wait_p50_ms')), p95: duration(lastOf(points, 'wait_p95_ms')) })}
            series=${[{ label: t('chart.p50'), tone: '--running', fill: true }, { label: t('chart.p95'), tone: '--failed' }]} /><//>
    </div>`;
}

function Shares({ counts }) {
    const total = STATUSES.reduce((all, status) => all + (counts[status] ?? 0), 0);
    return html`<div class="shares" aria-hidden="true">${STATUSES.filter(status => counts[status]).map(status =>
        html`<span key=${status} class=${`t-${status}`} style=${{ flexGrow: Math.max(counts[status] / total, 0.01) }}></span>`)}</div>
        <ul class="share-list">${STATUSES.map(status => html`<li key=${status}><a href=${to('tasks', '', { status })}><${Badge} status=${status} /><strong>${number(counts[status] ?? 0)}</strong></a></li>`)}</ul>`;
}

const Recent = ({ rows }) => rows.length
    ? html`<ul class="feed">${rows.map(row => html`<li key=${row.id}><span class="grow"><strong>${named('action', row.action)}</strong> ${row.task_id ? html`<${TaskLink} id=${row.task_id} />` : html`<${Text} value=${row.entity_id} length=${40} />`} <span class="muted">${row.worker_id && html`<${Text} value=${row.worker_id} length=${32} />`}</span></span><span class="muted small"><${Ago} at=${row.timestamp} /></span></li>`)}</ul>`
    : html`<p class="muted">${t('none')}</p>`;

const Depths = ({ queues }) => html`<ul class="feed">${queues.map(queue => html`<li key=${queue.name}><a class="grow" href=${to('tasks', '', { queue: queue.name })}><${Text} value=${queue.name} length=${40} /></a>
    ${queue.paused && html`<${Badge} status="paused" />`}<span class="muted">${t('overview.depth', { n: queue.tasks.queued ?? 0 })}</span></li>`)}</ul>`;

export function Overview() {
    const [window, setWindow] = useState('hour');
    const all = useResource(signal => load(window, signal).then(data => ({ ...data, overview: { ...data.overview, at: Date.now() } })), [window]);
    return html`
        <${Heading} title=${t('nav.overview')} lead=${t('overview.lead')}>
            <div class="segments" role="group" aria-label=${t('overview.window')}>${WINDOWS.map(name => html`<button key=${name} type="button" aria-pressed=${window === name} onClick=${() => setWindow(name)}>${t(`overview.${name}`)}</button>`)}</div>
            <${Button} kind="primary" icon="plus" onClick=${() => { location.hash = to('tasks', 'new'); }}>${t('tasks.new')}<//>
        <//>
        <${Loaded} of=${all}>${({ overview, stats, queues, recent }) => html`
            <${Warnings} list=${overview.warnings} />
            <${Tiles} overview=${overview} stats=${stats} />
            ${stats.tasks.total === 0 && !overview.points.some(point => point.submitted)
                ? html`<${Card}><${Empty} icon="zap" title=${t('overview.empty')}><p>${t('overview.empty.hint')}</p><${Command} text=${`bloom worker --name first --server ${location.origin} --exec 'tr a-z A-Z'`} /><//><//>`
                : html`<${Charts} points=${overview.points} />`}
            <div class="thirds">
                <${Card} title=${t('overview.statuses')}><${Shares} counts=${stats.tasks.by_status} /><//>
                <${Card} title=${t('nav.queues')} aside=${html`<a href=${to('queues')}>${t('all')}</a>`}><${Depths} queues=${queues} /><//>
                <${Card} title=${t('overview.recent')} aside=${html`<a href=${to('audit')}>${t('all')}</a>`}><${Recent} rows=${recent} /><//>
            </div>`}
        <//>`;
}
