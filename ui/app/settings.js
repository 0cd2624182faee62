// What the person chose for this browser: language and colours. Nothing secret is kept here.
import { store } from './lib.js';

export const LANGUAGES = ['en', 'uk'];
export const THEMES = ['system', 'light', 'dark'];

function read(name, allowed, otherwise) {
    try {
        const value = localStorage.getItem(name);
        return allowed.includes(value) ? value : otherwise;
    } catch {
        return otherwise;
    }
}

function keep(name, value) {
    try {
        localStorage.setItem(name, value);
    } catch {
        // Storage is switched off: the choice lasts as long as the page.
    }
}

function preferred() {
    const known = (navigator.languages ?? []).map(tag => tag.slice(0, 2).toLowerCase());
    return known.find(tag => LANGUAGES.includes(tag)) ?? 'en';
}

export const language = store(read('bloom-language', LANGUAGES, preferred()));
export const theme = store(read('bloom-theme', THEMES, 'system'));

function show() {
    document.documentElement.lang = language.get();
    const chosen = theme.get();
    if (chosen === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
}

language.watch(value => {
    keep('bloom-language', value);
    show();
});
theme.watch(value => {
    keep('bloom-theme', value);
    show();
});
show();
