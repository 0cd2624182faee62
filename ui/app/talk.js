// What the page says to the person and asks of them: short messages and confirmations.
import { html, store, useState, useStore } from './lib.js';
import { t } from './i18n.js';
import { Button, Dialog, Icon, reasonOf } from './parts.js';

const SHOWN_MS = 6000;

const messages = store([]);
let last = 0;

function say(kind, text) {
    const id = (last += 1);
    messages.set([...messages.get().slice(-3), { id, kind, text }]);
    setTimeout(() => forget(id), kind === 'bad' ? 2 * SHOWN_MS : SHOWN_MS);
}

const forget = id => messages.set(messages.get().filter(message => message.id !== id));

export const good = text => say('good', text);
export const bad = text => say('bad', text);

/** Does something and says how it went. Resolves to whether it went well. */
export async function act(work, done) {
    try {
        const result = await work();
        const text = typeof done === 'function' ? done(result) : done;
        if (text) good(text);
        return true;
    } catch (error) {
        bad(reasonOf(error));
        return false;
    }
}

const question = store(null);

/** Asks whether to go on: {title, text, action, danger, field}. Resolves to false, or to what was entered (true without a field). */
export const confirm = asked => new Promise(resolve => question.set({ ...asked, resolve }));

function Question({ asked }) {
    const [value, setValue] = useState(asked.field?.value ?? '');
    const close = answer => {
        question.set(null);
        asked.resolve(answer);
    };
    const submit = event => {
        event.preventDefault();
        close(asked.field ? { value } : true);
    };
    return html`<${Dialog} title=${asked.title} onClose=${() => close(false)}>
        <form onSubmit=${submit}>
            <p class="dialog-text">${asked.text}</p>
            ${asked.field && html`<div class="field"><label for="question-field">${asked.field.label}</label>
                <input id="question-field" type=${asked.field.type ?? 'text'} ...${asked.field.rules} value=${value} onInput=${event => setValue(event.target.value)} /></div>`}
            <footer class="dialog-foot">
                <${Button} onClick=${() => close(false)}>${t('back')}<//>
                <${Button} type="submit" kind=${asked.danger ? 'danger' : 'primary'} data-confirm="yes">${asked.action}<//>
            </footer>
        </form>
    <//>`;
}

/** Where messages and questions appear. */
export function Talk() {
    const shown = useStore(messages);
    const asked = useStore(question);
    return html`
        ${asked && html`<${Question} asked=${asked} key=${asked.title} />`}
        <div class="toasts" role="status" aria-live="polite">
            ${shown.map(message => html`<div key=${message.id} class=${`toast ${message.kind}`}>
                <${Icon} name=${message.kind === 'good' ? 'check' : 'circle-alert'} />
                <bdi class="grow">${message.text}</bdi>
                <button type="button" class="copy" onClick=${() => forget(message.id)} aria-label=${t('close')}><${Icon} name="x" size=${14} /></button>
            </div>`)}
        </div>`;
}
