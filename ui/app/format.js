// Numbers, times and foreign text for people.
import { language } from './settings.js';

const kept = new Map();

function formatter(kind, options) {
    const name = `${language.get()} ${kind.name} ${JSON.stringify(options)}`;
    if (!kept.has(name)) kept.set(name, new kind(language.get(), options));
    return kept.get(name);
}

export const DASH = '–';

export function number(value) {
    if (typeof value !== 'number') return DASH;
    const options = Math.abs(value) >= 100000 ? { notation: 'compact', maximumFractionDigits: 1 } : { maximumFractionDigits: 2 };
    return formatter(Intl.NumberFormat, options).format(value);
}

export function percent(share) {
    if (typeof share !== 'number') return DASH;
    return formatter(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: share > 0.99 && share < 1 ? 2 : 1 }).format(share);
}

export function money(dollars) {
    if (typeof dollars !== 'number') return DASH;
    const digits = dollars !== 0 && Math.abs(dollars) < 0.1 ? 5 : 2;
    return formatter(Intl.NumberFormat, { style: 'currency', currency: 'USD', currencyDisplay: 'narrowSymbol', maximumFractionDigits: digits }).format(dollars);
}

export function bytes(count) {
    if (typeof count !== 'number') return DASH;
    const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
    const step = Math.min(Math.floor(Math.log2(Math.max(count, 1)) / 10), units.length - 1);
    const options = { style: 'unit', unit: units[step], unitDisplay: step ? 'short' : 'long', maximumFractionDigits: 1 };
    return formatter(Intl.NumberFormat, options).format(count / 2 ** (10 * step));
}

const unit = (value, name, digits = 0) =>
    formatter(Intl.NumberFormat, { style: 'unit', unit: name, unitDisplay: 'narrow', maximumFractionDigits: digits }).format(value);

const SPANS = [
    ['day', 86400000, 'hour', 3600000],
    ['hour', 3600000, 'minute', 60000],
    ['minute', 60000, 'second', 1000],
];

/** A span of time as people say it: two units at most. */
export function duration(ms) {
    if (typeof ms !== 'number' || !Number.isFinite(ms)) return DASH;
    const span = Math.max(ms, 0);
    if (span < 1000) return unit(Math.round(span), 'millisecond');
    if (span < 60000) return unit(span / 1000, 'second', span < 10000 ? 1 : 0);
    for (const [name, length, smaller, part] of SPANS) {
        if (span < length) continue;
        const rest = Math.floor((span % length) / part);
        return unit(Math.floor(span / length), name) + (rest ? ` ${unit(rest, smaller)}` : '');
    }
    return DASH;
}

/** "3 minutes ago", "in 5 seconds". */
export function relative(at, present) {
    const ms = at - present;
    const steps = [['day', 86400000], ['hour', 3600000], ['minute', 60000], ['second', 1000]];
    const [name, length] = steps.find(([, size]) => Math.abs(ms) >= size) ?? steps[3];
    return formatter(Intl.RelativeTimeFormat, { numeric: 'auto', style: 'short' }).format(Math.trunc(ms / length), name);
}

const isTime = at => typeof at === 'number' && Math.abs(at) < 8.64e15;

/** Date and time in the person's time zone. */
export const dateTime = at =>
    isTime(at) ? formatter(Intl.DateTimeFormat, { dateStyle: 'medium', timeStyle: 'medium' }).format(at) : DASH;

/** A sentence of the service with its times (UTC) in the person's time zone. */
export const localTimes = text =>
    text.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC/g, (_, day, time) => dateTime(Date.parse(`${day}T${time}Z`)));

/** A moment for machines. */
export const iso = at => (isTime(at) ? new Date(at).toISOString() : '');

const ESCAPE = '\u001b';
const COLOURS = new RegExp(`${ESCAPE}\\[[0-9;?]*[ -/]*[@-~]`, 'g');

/** What a terminal would have taken for colours is left out. */
export const withoutColours = text => text.replace(COLOURS, '');

/**
 * Text from elsewhere, with nothing in it that acts on the text around it: control characters become
 * visible, and so do the marks that turn the direction of writing.
 */
export function visible(value) {
    return String(value ?? '')
        .replace(/\r\n/g, '\n')
        .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, letter =>
            letter === '\u007f' ? '\u2421' : String.fromCharCode(0x2400 + letter.charCodeAt(0)))
        .replace(/[\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '\ufffd');
}

/** The first line of a text, cut to a length that a row can bear. */
export function excerpt(text, length = 160) {
    const line = visible(text).trim().replace(/\s+/g, ' ');
    const letters = [...line.slice(0, length * 2)];
    return letters.length > length ? `${letters.slice(0, length - 1).join('')}…` : letters.join('');
}

/** An id short enough for a row: its last part, where ids of one time differ. */
export const shortId = id => String(id ?? '').slice(-8);
