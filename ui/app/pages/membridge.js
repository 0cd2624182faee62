// The control plane: how to reach it, what it knows, and who leads which project.
import { html, useEffect, useState } from '../lib.js';
import { get, MEMBRIDGE, part, post, RUNTIME } from '../api.js';
import { number, visible } from '../format.js';
import { t } from '../i18n.js';
import { Ago, Badge, Button, Card, Empty, Field, Heading, Icon, Loaded, reasonOf, Table, Text, When } from '../parts.js';
import { useResource } from '../resource.js';
import { act, confirm, good } from '../talk.js';

/** Membridge tells seconds. */
const ms = seconds => (typeof seconds === 'number' ? seconds * 1000 : null);
const rarely = { wants: () => false, every: 30000 };

function Settings({ config, reload }) {
    const [url, setUrl] = useState(config.membridge_server_url);
    const [secret, setSecret] = useState('');
    const [error, setError] = useState(null);
    const [test, setTest] = useState(null);
    useEffect(() => setUrl(config.membridge_server_url), [config.membridge_server_url]);
    const save = async event => {
        event.preventDefault();
        setError(null);
        try {
            await post(`${RUNTIME}/config`, { membridge_server_url: url, ...(secret ? { admin_key: secret } : {}) });
            setSecret('');
            good(t('membridge.saved'));
            reload();
        } catch (refused) {
            setError(refused);
        }
    };
    const check = async () => {
        setTest(null);
        try {
            setTest(await post(`${RUNTIME}/test-connection`, {}));
            reload();
        } catch (failed) {
            setTest({ connected: false, error: reasonOf(failed) });
        }
    };
    return html`<${Card} title=${t('membridge.settings')} aside=${html`<${Badge} status=${config.connected ? 'online' : 'offline'} text=${config.connected ? t('membridge.connected') : t('membridge.unconnected')} />`}>
        <form class="form" onSubmit=${event => event.preventDefault()} noValidate>
            <div class="form-grid">
                <${Field} label=${t('membridge.url')} errors=${error?.fields.membridge_server_url}>${(id, aria) => html`<input id=${id} name="url" type="url" value=${url} placeholder="http://10.0.0.5:8000" onInput=${event => setUrl(event.target.value)} ...${aria} />`}<//>
                <${Field} label=${t('membridge.key')} hint=${config.admin_key_masked ? t('membridge.key.kept') : t('membridge.key.none')} errors=${error?.fields.admin_key}>${(id, aria) => html`<input id=${id} name="admin_key" type="password" autocomplete="off" value=${secret} placeholder=${config.admin_key_masked ?? ''} onInput=${event => setSecret(event.target.value)} ...${aria} />`}<//>
            </div>
            ${error && !Object.keys(error.fields).length && html`<p class="field-error" role="alert">${reasonOf(error)}</p>`}
            <footer class="form-foot"><span class="grow muted small">${config.last_test ? html`${t('membridge.tested')} <${Ago} at=${config.last_test} />` : t('membridge.untested')}</span>
                <${Button} icon="zap" onClick=${check} data-act="test">${t('membridge.test')}<//><${Button} type="submit" kind="primary" icon="check" onClick=${save} data-act="save">${t('save')}<//></footer>
        </form>
        ${test && html`<p class=${`verdict ${test.connected ? 'good' : 'bad'}`} role="status" data-test=${test.connected ? 'good' : 'bad'}><${Icon} name=${test.connected ? 'check' : 'circle-alert'} size=${18} />
            ${test.connected ? t('membridge.test.good', { version: visible(test.health?.version ?? '') }) : t('membridge.test.bad', { said: visible(test.error) })}</p>`}
    <//>`;
}

function Health() {
    const all = useResource(signal => get(`${RUNTIME}/health`, { signal }), [], rarely);
    return html`<${Card} title=${t('membridge.sync')}><${Loaded} of=${all}>${({ membridge: sync }) => html`<dl class="facts">
        <dt>${t('membridge.last')}</dt><dd><${Ago} at=${sync.lastSuccess} /></dd>
        <dt>${t('membridge.failures')}</dt><dd>${number(sync.consecutiveFailures)}${sync.tripped ? html` <${Badge} status="failed" text=${t('membridge.tripped')} />` : ''}</dd>
        ${sync.lastError && html`<dt>${t('membridge.error')}</dt><dd><${Text} value=${sync.lastError} length=${200} /></dd>`}
        ${sync.lastSync && html`<dt>${t('membridge.listed')}</dt><dd>${t('membridge.listed.value', { n: sync.lastSync.listed })}</dd>`}</dl>`}<//><//>`;
}

function Nodes({ nodes, primary, promote }) {
    return html`<${Table} label=${t('membridge.nodes')} head=${['node', 'role', 'observations', 'seen', 'addresses'].map(name => t(`membridge.${name}`)).concat(html`<span class="hidden">${t('actions')}</span>`)}>
        ${nodes.map(node => html`<tr key=${node.node_id} data-node=${node.node_id}><td><strong><${Text} value=${node.node_id} length=${48} /></strong>${node.node_id === primary && html` <span class="label">${t('membridge.preferred')}</span>`}</td>
            <td><${Badge} status=${node.role} /></td><td class="number">${number(node.obs_count)}</td><td><${Ago} at=${ms(node.last_seen)} /></td><td><${Text} value=${(node.ip_addrs ?? []).join(', ')} length=${60} /></td>
            <td><div class="row-actions"><${Button} kind="small" icon="arrow-up-down" onClick=${() => promote(node.node_id)} data-act="promote">${t('membridge.promote')}<//></div></td></tr>`)}<//>`;
}

function Project({ project }) {
    const id = project.canonical_id;
    const at = `${MEMBRIDGE}/projects/${part(id)}`;
    const all = useResource(signal => Promise.all([get(`${at}/leadership`, { signal }), get(`${at}/nodes`, { signal })]), [id], rarely);
    const promote = async node => {
        const name = visible(node);
        const sure = await confirm({ title: t('membridge.promote'), text: t('membridge.promote.ask', { node: name, project: visible(project.name || id) }), action: t('membridge.promote'), danger: true });
        if (sure) await act(() => post(`${at}/leadership/select`, { primary_node_id: node }), t('membridge.promote.done', { node: name })).then(all.reload);
    };
    return html`<${Card} class="flush project" data-project=${id}>
        <header class="card-head"><h2><${Text} value=${project.name || id} length=${60} /></h2><span class="muted small"><${Text} value=${id} length=${60} /> · <${Text} value=${project.source} length=${20} /></span></header>
        <${Loaded} of=${all}>${([leadership, nodes]) => html`
            <div class="leadership"><span class="leadership-icon"><${Icon} name="users" size=${20} /></span><div class="grow"><span class="muted small">${t('membridge.leader')}</span>
                <strong data-leader><${Text} value=${leadership.preferred_primary ?? leadership.nodes?.find(node => node.role === 'primary')?.node_id ?? t('none')} length=${60} /></strong></div>
                <span class="muted small">${t('membridge.nodes.count', { n: leadership.node_count ?? nodes.length })}</span></div>
            ${nodes.length ? html`<${Nodes} nodes=${nodes} primary=${leadership.preferred_primary} promote=${promote} />` : html`<${Empty} icon="network" title=${t('membridge.nodes.none')} />`}`}<//>
    <//>`;
}

function Projects({ version }) {
    const all = useResource(signal => get(`${MEMBRIDGE}/projects`, { signal }), [version], rarely);
    return html`<section aria-label=${t('membridge.projects')}><h2 class="section-title">${t('membridge.projects')}</h2>
        <${Loaded} of=${all}>${projects => projects.length
            ? projects.map(project => html`<${Project} key=${project.canonical_id} project=${project} />`)
            : html`<${Card}><${Empty} icon="network" title=${t('membridge.projects.none')}><p>${t('membridge.projects.hint')}</p><//><//>`}<//></section>`;
}

export function Membridge() {
    const config = useResource(signal => get(`${RUNTIME}/config`, { signal }), [], rarely);
    return html`
        <${Heading} title=${t('nav.membridge')} lead=${t('membridge.lead')} />
        <div class="halves"><${Loaded} of=${config}>${data => html`<${Settings} config=${data} reload=${config.reload} />`}<//><${Health} /></div>
        ${config.data && (config.data.membridge_server_url
            ? html`<${Projects} version=${config.data.membridge_server_url} />`
            : html`<${Card}><${Empty} icon="network" title=${t('membridge.unset')}><p>${t('membridge.unset.hint')}</p><//><//>`)}`;
}
