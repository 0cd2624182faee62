// Texts in the chosen language. A text is a string with {names}, or an object of plural forms
// (see Intl.PluralRules) that is chosen by {n}.
import en from '../i18n/en.js';
import uk from '../i18n/uk.js';
import { language } from './settings.js';

const catalogs = { en, uk };
const rules = { en: new Intl.PluralRules('en'), uk: new Intl.PluralRules('uk') };

/** Whether there is a text of this name. */
export const has = key => Object.hasOwn(en, key);

/** The text of this name. A name that no catalog knows is shown as it is. */
export function t(key, values = {}) {
    const chosen = language.get();
    let text = Object.hasOwn(catalogs[chosen], key) ? catalogs[chosen][key] : en[key];
    if (text === undefined) return key;
    if (typeof text === 'object') text = text[rules[chosen].select(values.n)] ?? text.other;
    return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The text `group.value`, or `value` itself where it has no text: names that the service may add. */
export const named = (group, value) => (has(`${group}.${value}`) ? t(`${group}.${value}`) : String(value ?? ''));
