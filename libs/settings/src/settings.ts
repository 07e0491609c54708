import { readFileSync } from 'node:fs';
import { type ListenAddress, parseHostPort } from './address.ts';
import { Secret } from './secret.ts';

/** Why settings were refused; the message lists every wrong one and what was expected. */
class SettingsError extends Error {
  readonly code = 'ERR_SETTINGS_INVALID';

  constructor(problems: readonly string[]) {
    super(`settings are wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

/** One setting: how its text becomes a value, and what it is for. */
export interface Setting<T> {
  readonly about: string;
  readonly fallback?: T;
  readonly parse: (text: string) => T;
  /** A secret: its text may stand in a file instead, which the variable `<name>_FILE` names. */
  readonly secret?: true;
}

/** A text. */
export function text(about: string, fallback?: string): Setting<string> {
  return { about, parse: (value) => value, ...(fallback === undefined ? {} : { fallback }) };
}

/** A text that may be absent. */
export function optionalText(about: string): Setting<string | undefined> {
  return { about, parse: (value) => value, fallback: undefined };
}

/** A secret that may be absent. */
export function optionalSecret(about: string): Setting<Secret | undefined> {
  return { about, parse: (value) => new Secret(value), fallback: undefined, secret: true };
}

/** A whole number within bounds. */
export function integer(about: string, bounds: { min: number; max: number; fallback?: number }): Setting<number> {
  const { min, max, fallback } = bounds;
  return {
    about,
    parse(value) {
      const number = Number(value);
      if (!Number.isInteger(number) || number < min || number > max) {
        throw new TypeError(`expected a whole number from ${min} to ${max}`);
      }
      return number;
    },
    ...(fallback === undefined ? {} : { fallback }),
  };
}

/** `host:port`; port 0 takes a free one. */
export function listenAddress(about: string, fallback: ListenAddress): Setting<ListenAddress> {
  return {
    about,
    fallback,
    parse(value) {
      const address = parseHostPort(value);
      if (!address) throw new TypeError('expected host:port');
      return address;
    },
  };
}

/** `host:port` that may be absent. */
export function optionalListenAddress(about: string): Setting<ListenAddress | undefined> {
  return { ...listenAddress(about, { host: '', port: 0 }), fallback: undefined };
}

/** Comma-separated `host:port`; absent: none. */
export function hostList(about: string): Setting<readonly ListenAddress[]> {
  const { parse } = listenAddress(about, { host: '', port: 0 });
  return { about, fallback: [], parse: (value) => value.split(',').map((part) => parse(part.trim())) };
}

/** Comma-separated texts. */
export function list(about: string, fallback: readonly string[]): Setting<readonly string[]> {
  return {
    about,
    fallback,
    parse: (value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean),
  };
}

/** Every variable that is read for a set of settings: those, and for each secret the one that names its file. */
export function allVariables(
  settings: Readonly<Record<string, Setting<unknown>>>,
): Readonly<Record<string, Setting<unknown>>> {
  const secrets = Object.entries(settings).filter(([, { secret }]) => secret);
  const files = secrets.map(([name, { about }]) => [`${name}_FILE`, optionalText(`file: ${about}`)] as const);
  return { ...settings, ...Object.fromEntries(files) };
}

/** Values of a set of settings. */
export type Values<S extends Readonly<Record<string, Setting<unknown>>>> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer T> ? T : never;
};

/** What is said of a setting; undefined when nothing is. @throws TypeError when it is said twice, or its file cannot be read */
function saidOf(
  name: string,
  { secret }: Setting<unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const value = environment[name] || undefined;
  const file = secret && environment[`${name}_FILE`];
  if (!file) return value;
  if (value !== undefined) throw new TypeError(`it is given by ${name} and by ${name}_FILE`);
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '') || undefined;
  } catch (error) {
    throw new TypeError(`${name}_FILE cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/**
 * Reads settings from the environment. An empty variable counts as absent; what a secret is may stand in a file (`<name>_FILE`).
 * @throws SettingsError naming every setting that is missing or wrong, never its value.
 */
export function readSettings<S extends Readonly<Record<string, Setting<unknown>>>>(
  settings: S,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Values<S> {
  const problems: string[] = [];
  const entries = Object.entries(settings).map(([name, setting]) => {
    try {
      const value = saidOf(name, setting, environment);
      if (value !== undefined) return [name, setting.parse(value)];
      if (!('fallback' in setting)) problems.push(`${name} is missing: ${setting.about}`);
      return [name, setting.fallback];
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message} (${setting.about})`);
      return [name, undefined];
    }
  });
  if (problems.length > 0) throw new SettingsError(problems);
  return Object.fromEntries(entries) as Values<S>;
}
