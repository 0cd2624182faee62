// The form for a new task.
import { html, useState } from '../lib.js';
import { get, post, RUNTIME } from '../api.js';
import { t } from '../i18n.js';
import { Button, Card, ErrorBox, Field, Heading } from '../parts.js';
import { useResource } from '../resource.js';
import { go, to } from '../router.js';
import { good } from '../talk.js';

const START = {
    prompt: '', context_id: '', agent_slug: '', queue: 'default', priority: '5', requires: '', desired_format: 'text',
    timeout_sec: '120', budget: '0', max_attempts: '3', run_at: '', serial: false,
};

const list = text => text.split(',').map(word => word.trim()).filter(Boolean);

/** What a cleared field means: nothing is said of it, and the service takes its own default. */
const whole = text => (text === '' ? undefined : Number(text));

function submission(form, key) {
    return {
        prompt: form.prompt,
        context_id: form.context_id,
        agent_slug: form.agent_slug,
        queue: form.queue || undefined,
        priority: whole(form.priority),
        requires: list(form.requires),
        desired_format: form.desired_format,
        max_attempts: whole(form.max_attempts),
        policy: { timeout_sec: whole(form.timeout_sec), budget: whole(form.budget), serial: form.serial },
        run_at: form.run_at ? new Date(form.run_at).getTime() : undefined,
        idempotency_key: key,
    };
}

/** One value of the form, as an input of some kind. */
function Part({ name, form, set, errors, hint, wide, tag = 'input', children, ...rest }) {
    const label = t(`submit.${name}`);
    return html`<${Field} label=${label} hint=${hint} errors=${errors[name]} wide=${wide}>${(id, aria) =>
        html`<${tag} id=${id} name=${name} value=${form[name]} onInput=${event => set(name, event.target.value)} ...${aria} ...${rest}>${children}</${tag}>`}<//>`;
}

function More({ part, form, set, queues }) {
    return html`<details class="more"><summary>${t('submit.more')}</summary><div class="form-grid">
        ${part('queue', { list: 'queues', maxlength: 128 })}<datalist id="queues">${queues.map(queue => html`<option key=${queue.name} value=${queue.name} />`)}</datalist>
        ${part('priority', { type: 'number', min: 0, max: 9, hint: t('submit.priority.hint') })}
        ${part('requires', { hint: t('submit.requires.hint') })}
        ${part('desired_format', { tag: 'select', children: ['text', 'json'].map(value => html`<option key=${value} value=${value} selected=${form.desired_format === value}>${value}</option>`) })}
        ${part('timeout_sec', { type: 'number', min: 1, max: 3600 })}
        ${part('budget', { type: 'number', min: 0, step: 'any' })}
        ${part('max_attempts', { type: 'number', min: 1, max: 10 })}
        ${part('run_at', { type: 'datetime-local', hint: t('submit.run_at.hint') })}
        <label class="check wide"><input type="checkbox" name="serial" checked=${form.serial} onChange=${event => set('serial', event.target.checked)} /> <span>${t('submit.serial')}</span></label>
    </div></details>`;
}

export function Submit({ query }) {
    const [form, setForm] = useState({ ...START, ...Object.fromEntries(Object.entries(query).filter(([name]) => Object.hasOwn(START, name))) });
    // The same form sent twice, because an answer was lost, is one task.
    const [key, setKey] = useState(() => randomId());
    const [error, setError] = useState(null);
    const queues = useResource(signal => get(`${RUNTIME}/queues`, { signal }), [], { wants: () => false });
    const errors = error?.fields ?? {};
    const set = (name, value) => setForm(old => ({ ...old, [name]: value }));
    const part = (name, options) => html`<${Part} name=${name} form=${form} set=${set} errors=${errors} ...${options} />`;
    const send = async event => {
        event.preventDefault();
        setError(null);
        try {
            const task = await post(`${RUNTIME}/llm-tasks`, submission(form, key));
            good(t('submit.done'));
            go(to('tasks', task.id));
        } catch (refused) {
            // What was refused is no task: the next try is a new one.
            if (refused.status >= 400 && refused.status < 500) setKey(randomId());
            setError(refused);
        }
    };
    return html`
        <${Heading} title=${t('tasks.new')} lead=${t('submit.lead')} />
        <${Card}><form class="form" onSubmit=${event => event.preventDefault()} noValidate>
            ${error && html`<${ErrorBox} error=${error} />`}
            ${part('prompt', { tag: 'textarea', rows: 7, wide: true, required: true, dir: 'auto', spellcheck: false })}
            <div class="form-grid">
                ${part('context_id', { hint: t('submit.context_id.hint'), required: true, maxlength: 512 })}
                ${part('agent_slug', { hint: t('submit.agent_slug.hint'), required: true, maxlength: 255 })}
            </div>
            <${More} part=${part} form=${form} set=${set} queues=${queues.data ?? []} />
            <footer class="form-foot"><${Button} onClick=${() => history.back()}>${t('back')}<//><${Button} type="submit" kind="primary" icon="zap" onClick=${send}>${t('submit.send')}<//></footer>
        </form><//>`;
}

function randomId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return `ui-${[...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('')}`;
}
