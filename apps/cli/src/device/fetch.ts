import { once } from 'node:events';
import { createReadStream, createWriteStream, statSync } from 'node:fs';
import { finished } from 'node:stream/promises';
import type { Field } from '@sallyport/channel';
import { type CallResponse, type Device, findField } from '@sallyport/device';
import { CliError, progressBar } from '../output.ts';
import { printable, warn } from '../terminal.ts';
import { userPath } from '../user-path.ts';

/** Options of `sallyport device fetch`, after curl's. */
export interface FetchOptions {
  readonly request?: string;
  readonly header?: string[];
  readonly data?: string;
  readonly uploadFile?: string;
  readonly output?: string;
  readonly include?: boolean;
  readonly verbose?: boolean;
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
  if (options.verbose) warn`${wayOf(device, response.site)}\n`;
  if (options.include) printHead(response);
  await save(response, options.output === undefined ? undefined : userPath(options.output));
  if (response.status >= 400) process.exitCode = 22;
}

/** By which site an answer came, and how far that is, as far as it was measured. */
function wayOf({ sites }: Pick<Device, 'sites'>, site: string): string {
  const { origin, connectMs, pingMs } = sites.find(({ name }) => name === site) ?? {};
  const measured = [
    ...(connectMs === undefined ? [] : [`connection ${connectMs} ms`]),
    ...(pingMs === undefined ? [] : [`ping ${pingMs} ms`]),
  ];
  const at = origin === undefined ? '' : `, ${origin}`;
  return `by site ${site}${at} (${measured.length === 0 ? 'not measured' : measured.join(', ')})`;
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
