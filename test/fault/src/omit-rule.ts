/**
 * Loaded before a server of ours, or a command: leaves the rule out that RIG_WITHOUT names, by changing the sources as they
 * are read. Shows that a scenario sees what the rule is for.
 */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { OMITTED_RULES } from './omitted-rules.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const places = OMITTED_RULES[process.env['RIG_WITHOUT'] ?? '']?.places ?? [];

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const path = url.startsWith(`file://${ROOT}`) ? fileURLToPath(url).slice(ROOT.length) : '';
    const here = places.filter(({ file }) => file === path);
    if (here.length === 0) return loaded;
    let text = String(Buffer.from(loaded.source as Uint8Array));
    for (const { code, instead } of here) text = text.replace(code, instead);
    return { ...loaded, source: text };
  },
});
