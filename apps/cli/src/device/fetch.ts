import { once } from 'node:events';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Field } from '@sallyport/channel';
import { type CallResponse, type Device, findField } from '@sallyport/device';
import { CliError, progressBar } from '../output.ts';
import { printable } from '../terminal.ts';
import { userPath } from '../user-path.ts';

/** Options of `sallyport device fetch`, after curl's. */
export interface FetchOptions {
  readonly request?: string;
  readonly header?: string[];
  readonly data?: string;
  readonly uploadFile?: string;
  readonly output?: string;
  readonly include?: boolean;
}

/** Fetches one URL through the gateway. The body goes to standard output or a file as it arrives. */
export async function fetchUrl(device: Device, text: string, options: FetchOptions): Promise<void> {
  const url = parseUrl(text);
  const fields = (options.header ?? []).map(parseField);
  const upload = options.uploadFile === undefined ? undefined : userPath(options.uploadFile);
  const method = options.request ?? (upload ? 'PUT' : options.data === undefined ? 'GET' : 'POST');
  if (upload) fields.push(['content-length', String(statSync(upload).size)]);
  if (options.data !== undefined) fields.push(['content-length', String(Buffer.byteLength(options.data))]);
  const body = upload ? readWithProgress(upload) : options.data === undefined ? undefined : Buffer.from(options.data);
  const head = {
    method,
    scheme: url.protocol.slice(0, -1),
    authority: url.host,
    path: `${url.pathname}${url.search}`,
    fields,
  };
  const response = await device.request(head, body);
  if (options.include) printHead(response);
  await save(response, options.output === undefined ? undefined : userPath(options.output));
  if (response.status >= 400) process.exitCode = 22;
}

function parseUrl(text: string): URL {
  try {
    return new URL(text);
  } catch {
    throw new CliError(`${text} is not a URL`, 'for instance: sallyport device fetch http://intranet.example/');
  }
}

function parseField(text: string): Field {
  const colon = text.indexOf(':');
  if (colon < 1) throw new CliError(`${text} is not a header`, 'for instance: -H "accept: text/html"');
  return [text.slice(0, colon).trim().toLowerCase(), text.slice(colon + 1).trim()];
}

async function* readWithProgress(file: string): AsyncGenerator<Uint8Array> {
  const bar = progressBar(statSync(file).size);
  for await (const part of createReadStream(file, { highWaterMark: 65_536 })) {
    bar.add((part as Buffer).length);
    yield part as Buffer;
  }
  bar.end();
}

function printHead({ status, fields }: CallResponse): void {
  process.stdout.write(`HTTP ${status}\n${fields.map((field) => `${printable(field.join(': '))}\n`).join('')}\n`);
}

async function save(response: CallResponse, file: string | undefined): Promise<void> {
  const length = findField(response.fields, 'content-length');
  const bar = progressBar(file && length ? Number(length) : undefined);
  const target = file ? createWriteStream(file) : process.stdout;
  for await (const part of response.body) {
    if (file) bar.add(part.length);
    if (!target.write(part)) await once(target, 'drain');
  }
  if (!file) return;
  bar.end();
  target.end();
  await finished(target);
}
