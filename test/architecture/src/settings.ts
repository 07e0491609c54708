import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** What a setting says of itself; see `Setting` in libs/settings. */
interface Setting {
  /** What it is for; behind `; absent:` stands what holds without it. */
  readonly about: string;
  readonly fallback?: unknown;
  /** `<name>_FILE` may name a file that it stands in. */
  readonly secret?: true;
}

/** Settings of a server by their names. */
export type Settings = Readonly<Record<string, Setting>>;

const ABSENT = /; absent: (.+)$/;

/** Settings of every app that exports them from its `config.ts`, by its folder. */
export async function readAllSettings(root: string): Promise<Map<string, Settings>> {
  const found = new Map<string, Settings>();
  for (const name of readdirSync(`${root}/apps`)) {
    const file = `${root}/apps/${name}/src/config.ts`;
    if (!existsSync(file)) continue;
    const config = (await import(pathToFileURL(file).href)) as { SETTINGS?: Settings };
    if (config.SETTINGS) found.set(`apps/${name}`, config.SETTINGS);
  }
  return found;
}

/** A table of Markdown, a row for each setting. */
export function settingsTable(settings: Settings): string {
  const rows = Object.entries(settings).map(
    ([name, setting]) => `| \`${name}\` | ${defaultOf(setting)} | ${setting.about.replace(ABSENT, '')} |`,
  );
  return ['| setting | default | what it is |', '|---|---|---|', ...rows].join('\n');
}

function defaultOf(setting: Setting): string {
  if (!('fallback' in setting)) return 'none: must be given';
  const value = formatValue(setting.fallback);
  if (value !== '') return `\`${value}\``;
  return ABSENT.exec(setting.about)?.[1] ?? '–';
}

function formatValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(formatValue).join(',');
  if (typeof value !== 'object' || value === null) return value === undefined ? '' : String(value);
  // Of objects there are addresses, and sets of addresses, which are empty unless they are given.
  return 'port' in value && 'host' in value ? `${value.host}:${value.port}` : '';
}

const BLOCK = /(<!-- settings of (\S+) -->\n)[\s\S]*?(<!-- end -->)/g;

/** Documents in which tables of settings stand. */
export const DOCUMENTS: readonly string[] = ['docs/operator.md', 'docs/phone.md'];

/** A document with its tables as the sources have them, and whose they are. */
export function withTables(document: string, all: ReadonlyMap<string, Settings>): { text: string; apps: string[] } {
  const apps: string[] = [];
  const text = document.replace(BLOCK, (_, begin: string, app: string, end: string) => {
    const settings = all.get(app);
    if (!settings) throw new Error(`a document has a table of the settings of ${app}, which has none`);
    apps.push(app);
    return `${begin}${settingsTable(settings)}\n${end}`;
  });
  return { text, apps };
}

/** Reads a file of the house. */
export function readText(root: string, file: string): string {
  return readFileSync(`${root}/${file}`, 'utf8');
}
