import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Replaces a file of mode 0600 whole or not at all, and durably: when this returns, a power cut leaves the new content,
 * before it the old one. Makes its folder, mode 0700, when that is missing.
 */
export function replacePrivateFile(file: string, content: string): void {
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // A name of its own: another process may be replacing the same file.
  const draft = `${file}.${randomUUID()}.new`;
  try {
    writeFileSync(draft, content, { mode: 0o600, flush: true });
    renameSync(draft, file);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncFolder(folder);
}

/**
 * Reads a file of JSON that may hold secrets. Of one that was cut or changed only its name is told: what the parser says quotes what
 * stands there, and logs keep it.
 * @throws Error for what is no JSON; whatever reading the file throws
 */
export function readJsonFile(file: string): unknown {
  const text = readFileSync(file, 'utf8');
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${file} is no JSON: it was cut, changed, or is another file than was meant`);
  }
}

/** The new name is durable only with its folder. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
