import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkResponse,
  checkTrailers,
  contentLength,
  encodeChunkPrefix,
  encodeMessageEnd,
  encodeResponseHead,
  type Field,
  type HttpDecoder,
  type RequestHead,
  requestDecoder,
  SIGNED_CODES,
  type SignedCode,
} from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { Dispatcher } from 'undici';
import type { Decision } from '../rights.ts';
import { type Exchange, forwardedFor, type StreamHost, type StreamPlace } from './exchange.ts';
import { Upload } from './upload.ts';

const NO_BODY_METHODS = new Set(['GET', 'HEAD']);

/** A stream of kind 1: one HTTP request and its response (SPEC.md, section 7). */
export class HttpExchange implements Exchange {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  readonly #decoder: HttpDecoder;
  #head: RequestHead | undefined;
  #fields: readonly Field[] = [];
  #upload: Upload | undefined;
  #early: Uint8Array[] = [];
  #received = 0;
  #requestDone = false;
  #asked = false;
  #dispatched = false;
  #controller: Dispatcher.DispatchController | undefined;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder({
      head: (head) => this.#start(head),
      content: (bytes) => this.#content(bytes),
      trailers: (fields) => this.#complete(fields),
    });
  }

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    const before = this.#received;
    this.#guarded(() => this.#decoder.push(bytes));
    // Content is given back when the backend takes it, everything else at once.
    this.#stream.consume(bytes.length - (this.#received - before));
    if (this.#head) this.#ask(this.#head);
  }

  end(): void {
    if (!this.#over) this.#guarded(() => this.#decoder.finish());
  }

  reset(code: number): void {
    if (this.#over) return this.#stream.settle();
    this.#over = true;
    this.#stopBackend(new Error(`the stream was reset with code ${code}`));
    if (!this.#dispatched) this.#stream.settle();
  }

  drain(): void {
    this.#controller?.resume();
  }

  recheck(): void {
    const decision = this.#dispatched && !this.#over && this.#head ? this.#decide(this.#head) : undefined;
    if (decision && 'refused' in decision) this.#refuse(decision.refused);
  }

  /** Bad input of this stream ends this stream; the channel goes on. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      this.#refuse('REQUEST_REFUSED');
    }
  }

  #start(head: RequestHead): void {
    this.#fields = checkRequest(head);
    this.#head = head;
  }

  #content(bytes: Uint8Array): void {
    this.#received += bytes.length;
    const declared = contentLength(this.#fields);
    if (declared !== undefined && this.#received > declared) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'more content than declared');
    }
    if (!this.#dispatched) this.#early.push(Uint8Array.from(bytes));
    else if (!this.#host.mayServe()) this.#refuse('LEASE_LOST');
    else this.#upload?.add(bytes);
  }

  #complete(trailers: readonly Field[]): void {
    checkTrailers(trailers);
    const declared = contentLength(this.#fields);
    if (declared !== undefined && declared !== this.#received) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'less content than declared');
    }
    this.#requestDone = true;
    this.#upload?.complete();
  }

  #ask(head: RequestHead): void {
    if (this.#asked || this.#over) return;
    this.#asked = true;
    this.#host.whenReady(() => {
      if (!this.#over) this.#dispatch(head);
    });
  }

  #decide({ authority, method, path }: RequestHead): Decision {
    return this.#host.decide({ kind: 'http', authority, method, path });
  }

  #dispatch(head: RequestHead): void {
    const decision = this.#decide(head);
    if ('refused' in decision) return this.#refuse(decision.refused);
    if (!this.#host.mayServe()) return this.#refuse('LEASE_LOST');
    this.#dispatched = true;
    try {
      this.#send(head, decision.resource);
    } catch {
      // Nothing was sent yet: the backend's address is not allowed or not even an address.
      this.#refuse('BACKEND_UNREACHABLE');
      this.#stream.settle();
    }
  }

  #send({ method, path }: RequestHead, resource: ResourceGrant): void {
    const pool = this.#host.backends.pool(resource.backend);
    const options = {
      method: method as Dispatcher.HttpMethod,
      path,
      headers: this.#headersFor(resource),
      body: this.#bodyFor(method),
    };
    pool.dispatch(options as Dispatcher.DispatchOptions, {
      onRequestStart: (controller) => this.#started(controller),
      onResponseStart: (controller, status) => this.#responded(controller, status),
      onResponseData: (controller, chunk) => this.#responseData(controller, chunk),
      onResponseEnd: () => this.#responseEnd(),
      onResponseError: (_controller, error) => this.#fail(error),
    });
  }

  #bodyFor(method: string): Uint8Array | Upload | null {
    const early = this.#early;
    this.#early = [];
    const consume = (bytes: number): void => this.#stream.consume(bytes);
    if (this.#requestDone) {
      consume(this.#received);
      if (this.#received > 0) return Buffer.concat(early);
      return NO_BODY_METHODS.has(method) ? null : Buffer.alloc(0);
    }
    this.#upload = new Upload(consume);
    for (const bytes of early) this.#upload.add(bytes);
    return this.#upload;
  }

  /** The Proxy alone says where the request goes, for whom, and from where it came. */
  #headersFor({ authority, assertion }: ResourceGrant): string[] {
    const headers = this.#fields.flat();
    headers.push('host', authority, 'forwarded', forwardedFor(this.#host.deviceAddress));
    if (assertion !== undefined) headers.push('sallyport-assertion', assertion);
    return headers;
  }

  #started(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('the stream is over'));
    // The request waited for a connection: rights and lease may have ended meanwhile.
    else if (!this.#host.mayServe()) this.#refuse('LEASE_LOST');
  }

  #responded(controller: Dispatcher.DispatchController, status: number): void {
    if (status < 200 || this.#over) return;
    try {
      const fields = checkResponse({ status, fields: rawFields(controller.rawHeaders) });
      this.#stream.write(encodeResponseHead({ status, fields }));
    } catch (error) {
      controller.abort(error as Error);
      this.#fail(error);
    }
  }

  #responseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over || chunk.length === 0) return;
    if (!this.#host.mayServe()) return this.#refuse('LEASE_LOST');
    this.#stream.write(encodeChunkPrefix(chunk.length));
    // The chunk is ours: the socket reads into fresh memory every time.
    if (!this.#stream.write(chunk)) controller.pause();
  }

  #responseEnd(): void {
    if (!this.#over) {
      this.#over = true;
      this.#stream.write(encodeMessageEnd());
      this.#stream.finish();
      this.#host.count('http', 'done');
    }
    this.#upload?.destroy();
    this.#stream.settle();
  }

  #fail(error: unknown): void {
    // Without a controller the request never had a connection: certainly nothing was sent.
    if (!this.#over) this.#refuse(this.#controller ? failureCode(error) : 'BACKEND_UNREACHABLE');
    this.#stream.settle();
  }

  #refuse(code: SignedCode): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.count('http', code);
    this.#stream.reset(SIGNED_CODES[code]);
    this.#stopBackend(new Error(code));
    if (!this.#dispatched) this.#stream.settle();
  }

  #stopBackend(reason: Error): void {
    this.#upload?.destroy(reason);
    this.#controller?.abort(reason);
  }
}

/** What a failed backend request is called, by what the device may conclude from it. */
function failureCode(error: unknown): SignedCode {
  const { code = '', name = '' } = error as { code?: string; name?: string };
  return /TIMEOUT/.test(code) || name === 'TimeoutError' ? 'BACKEND_TIMEOUT' : 'BACKEND_FAILED';
}

/** Fields as they came from the backend, names in lower case. */
function rawFields(raw: Dispatcher.DispatchController['rawHeaders']): Field[] {
  const list = raw as readonly (Buffer | string)[];
  const fields: Field[] = [];
  for (let i = 0; i + 1 < list.length; i += 2) {
    const [name, value] = [list[i]!, list[i + 1]!];
    fields.push([textOf(name).toLowerCase(), textOf(value)]);
  }
  return fields;
}

function textOf(value: Buffer | string): string {
  return typeof value === 'string' ? value : value.toString('latin1');
}
