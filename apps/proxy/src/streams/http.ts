import {
  ChannelError,
  type ChannelStream,
  checkRequest,
  checkTrailers,
  contentLength,
  copyBytes,
  type Field,
  type HttpDecoder,
  type MessageSink,
  mayHaveContent,
  passedTrailers,
  type RequestHead,
  requestDecoder,
  SIGNED_CODES,
  type SignedCode,
} from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { BackendRequest } from '../backend/connection.ts';
import { type BackendError, wordsOf } from '../backend/errors.ts';
import type { BackendPool } from '../backend/pool.ts';
import type { BackendCall } from '../backend/pooled-call.ts';
import type { BackendAsker } from '../backend/server.ts';
import type { Tenant } from '../backend/tenant.ts';
import { Passage } from '../serving/gate.ts';
import type { Facing } from './answered-fields.ts';
import { secondPath } from './dav-fields.ts';
import type { Exchange, StreamHost, StreamPlace } from './exchange.ts';
import { facingOf } from './facing.ts';
import { HeadMemory } from './head-memory.ts';
import { type Asker, codeOf, HttpAnswer } from './http-answer.ts';
import { Pieces } from './pieces.ts';
import { requestFields } from './request-fields.ts';

const NO_FIELDS: readonly Field[] = [];

/** True for a failure after which certainly nothing was sent, and another server may be better. */
function isNotThere({ code }: BackendError): boolean {
  return code === 'ERR_BACKEND_UNREACHABLE' || code === 'ERR_BACKEND_ADDRESS';
}

/**
 * A stream of kind 1: one HTTP request and its response (SPEC.md, section 7). This is the way to the backend;
 * `HttpAnswer` is the way back.
 */
export class HttpExchange implements Exchange, MessageSink<RequestHead>, Asker, BackendAsker {
  readonly #host: StreamHost;
  readonly #stream: ChannelStream;
  /** Until the request is complete: what waits for its answer, often hundreds at once, is kept small. */
  #decoder: HttpDecoder | undefined;
  #head: RequestHead | undefined;
  #passage: Passage | undefined;
  /** Declared bytes of the content. */
  #declared: number | undefined;
  /** Content that waits: for a connection, or for rights that are being read. Its credit is not given back. */
  #held: Uint8Array[] | undefined;
  /** Small pieces of content are put together before they go on. */
  #pieces: Pieces | undefined;
  /** The backend's socket has no room: small pieces wait until it has. */
  #full = false;
  #received = 0;
  #uncredited = 0;
  /** Memory of a head that came in parts. */
  #headMemory: HeadMemory | undefined;
  #requestDone = false;
  #trailers: readonly Field[] = NO_FIELDS;
  #asked = false;
  /** The head is out on the present connection. */
  #sending = false;
  #waiting = false;
  #pool: BackendPool | undefined;
  #call: BackendCall | undefined;
  /** Servers that could not be reached. */
  #tried: Set<BackendPool> | undefined;
  #over = false;

  constructor({ host, stream }: StreamPlace) {
    this.#host = host;
    this.#stream = stream;
    this.#decoder = requestDecoder(this, 'chunks', host.headLimits);
  }

  // What the channel tells: bytes of the device.

  data(bytes: Uint8Array): void {
    if (this.#over) return this.#stream.consume(bytes.length);
    const before = this.#received;
    this.#guarded(() => this.#decoder!.push(bytes));
    if (!this.#head && !this.#over) return this.#unfinished(bytes.length);
    this.#headMemory?.end();
    this.#passPieces();
    // Content is given back when the backend takes it, everything else at once.
    this.#stream.consume(bytes.length - (this.#received - before));
    // Only now: most requests end in the same record, and go out with their length or as having no content.
    if (this.#head && !this.#asked && !this.#over && this.#known(this.#head)) this.#ask(this.#head);
  }

  end(): void {
    if (!this.#over) this.#guarded(() => this.#decoder!.finish());
    this.#decoder = undefined;
  }

  reset(): void {
    this.#over = true;
    this.#stop();
  }

  drain(): void {
    this.#call?.resume();
  }

  recheck(): void {
    const refused = this.#over ? undefined : this.#passage?.recheck();
    if (refused) this.refuse(refused);
  }

  // What the decoder of the request tells.

  head(head: RequestHead): void {
    // The grammar of its path is the resource's: `decide` looks at it.
    checkRequest(head, { paths: 'exact' });
    this.#declared = contentLength(head.fields);
    this.#head = head;
    const { authority, method, path } = head;
    const second = secondPath(head);
    const wanted = { kind: 'http', authority, method, path } as const;
    this.#passage = new Passage(this.#host, wanted, second === undefined ? undefined : { ...wanted, path: second });
  }

  content(bytes: Uint8Array): void {
    this.#received += bytes.length;
    if (this.#declared !== undefined && this.#received > this.#declared) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'more content than declared');
    }
    this.#pieces ??= new Pieces((part) => this.#take(part));
    this.#pieces.add(bytes);
  }

  trailers(trailers: readonly Field[]): void {
    checkTrailers(trailers);
    if (this.#declared !== undefined && this.#declared !== this.#received) {
      throw new ChannelError('ERR_CHANNEL_HTTP_REFUSED', 'less content than declared');
    }
    this.#requestDone = true;
    this.#trailers = passedTrailers(trailers);
    if (!this.#sending) return;
    this.#pieces?.flush();
    this.#release();
  }

  // What backends ask: BackendAsker.

  get authority(): string {
    return this.#head!.authority;
  }

  get under(): string {
    return this.#passage!.resource.authority;
  }

  get tenant(): Tenant {
    return this.#host.tenant;
  }

  get tried(): ReadonlySet<BackendPool> | undefined {
    return this.#tried;
  }

  // What the answer asks and tells.

  get over(): boolean {
    return this.#over;
  }

  get facing(): Facing {
    return facingOf(this.#host, {
      head: this.#head!,
      backend: this.#passage!.resource.backend,
      server: this.#pool?.server.url,
    });
  }

  mayServe(): boolean {
    return this.#host.mayServe();
  }

  mayBegin(): boolean {
    if (this.#over) return false;
    // The request may have waited for a connection: rights, lease and even the backend may be others by now.
    const look = this.#passage!.look();
    if (look === 'pass' && this.#isStillThere()) return true;
    this.#call = undefined;
    this.#sending = false;
    if (look === 'pass' || look === 'wait') this.#ask(this.#head!);
    else this.refuse(look);
    return false;
  }

  begun(): void {
    this.#passage!.begin();
    this.#sending = true;
    this.#passHeld();
    this.#pieces?.flush();
    if (this.#requestDone) this.#call?.finish(this.#trailers);
  }

  untaken(): void {
    this.#passage!.untaken();
    this.#sending = false;
  }

  room(): void {
    this.#full = false;
    this.#pieces?.flush();
    if (!this.#full) this.#credit();
  }

  full(): void {
    this.#call?.pause();
  }

  done(): void {
    this.#over = true;
    this.#host.count('http', 'done');
    this.#stream.settle();
  }

  refuse(code: SignedCode, words?: string): void {
    if (this.#over) return;
    this.#over = true;
    const ending = this.#passage?.ending(code) ?? code;
    this.#host.count('http', ending);
    this.#stream.reset(SIGNED_CODES[ending], this.#passage?.words(code, words) ?? words);
    this.#stop();
  }

  failed(error: BackendError): void {
    if (!this.#over) this.#host.backendFailed(this.#passage!.resource.name, error);
  }

  goesOn(error: BackendError): boolean {
    const pool = this.#pool;
    if (this.#over || !pool || !isNotThere(error) || this.#passage!.begun) return false;
    this.#tried = (this.#tried ?? new Set()).add(pool);
    if (!this.#host.backends.hasOther(this.#passage!.resource.backend, this.#tried)) return false;
    this.#call = undefined;
    this.#ask(this.#head!);
    return true;
  }

  /** Bad input of this stream ends this stream; the channel goes on. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof ChannelError)) throw error;
      if (!this.#over) this.#host.refused(error.message);
      this.refuse(error.tooLarge ? 'FIELDS_TOO_LARGE' : 'REQUEST_REFUSED', error.message);
    }
  }

  /**
   * True when it is known whether there is content. Methods that usually have none wait for the end of the request, to be sent
   * as what they are.
   */
  #known({ method }: RequestHead): boolean {
    return this.#requestDone || this.#declared !== undefined || this.#received > 0 || mayHaveContent(method);
  }

  #unfinished(bytes: number): void {
    const place = { budget: this.#host.heads, credit: (given: number) => this.#stream.consume(given) };
    this.#headMemory ??= new HeadMemory(place);
    this.#headMemory.add(bytes);
  }

  #ask(head: RequestHead): void {
    this.#asked = true;
    this.#host.whenReady(() => {
      if (!this.#over) this.#dispatch(head);
    });
  }

  #dispatch(head: RequestHead): void {
    const look = this.#passage!.look();
    if (look === 'wait') return this.#ask(head);
    if (look !== 'pass') return this.#refusedBy(look);
    const { resource } = this.#passage!;
    // What a backend leaves unread would be its next request.
    if (this.#hasContent && !mayHaveContent(head.method) && !resource.backend.readsContent)
      return this.refuse('REQUEST_REFUSED', `${head.method} with content: the resource does not say that it reads it`);
    try {
      this.#pool = this.#host.backends.pool(resource.backend, this);
    } catch (error) {
      // Nothing was sent: the backend's address is not allowed or not even an address.
      this.failed(error as BackendError);
      return this.refuse(codeOf(error as BackendError), wordsOf(error as BackendError));
    }
    const answer = new HttpAnswer(this, this.#stream);
    this.#call = this.#pool.call(this.#requestFor(head, resource), answer, this.#host.tenant);
    this.#call.send();
  }

  /** Refused before anything went out: the log says by which rule, too. */
  #refusedBy(code: SignedCode): void {
    const { rule } = this.#passage!;
    if (rule !== undefined) this.#host.refused(rule);
    this.refuse(code);
  }

  /** True while the backend of the request is the one whose connection it waited for. */
  #isStillThere(): boolean {
    try {
      return this.#host.backends.serves(this.#passage!.resource.backend, this.#pool!, this);
    } catch {
      // It has moved to where no backend may be: asking again says so.
      return false;
    }
  }

  /** Asked when it is known. */
  get #hasContent(): boolean {
    return this.#received > 0 || (this.#declared ?? 0) > 0 || (!this.#requestDone && this.#declared === undefined);
  }

  /** Sends what was held and, when the request is complete, its end, as soon as they may go. */
  #release(): void {
    if (this.#over || this.#waiting) return;
    const look = this.#passage!.look();
    if (look === 'wait') return this.#releaseLater();
    if (look !== 'pass') return this.refuse(look);
    this.#passHeld();
    if (!this.#full || this.#requestDone) this.#pieces?.flush();
    if (this.#requestDone) this.#call?.finish(this.#trailers);
  }

  #passHeld(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held) for (const bytes of held) this.#pass(bytes);
  }

  #releaseLater(): void {
    this.#waiting = true;
    this.#host.whenReady(() => {
      this.#waiting = false;
      this.#release();
    });
  }

  /** A connection that carried content is not used again, unless the backend is known to read it: see `Backend`. */
  #requestFor(head: RequestHead, resource: ResourceGrant): BackendRequest {
    const { method, path } = head;
    const fields = requestFields(head, this.#host.deviceAddress, resource);
    const last = this.#hasContent && !resource.backend.readsContent;
    const { host = head.authority, prefix = '' } = resource.backend;
    return {
      method,
      path: prefix === '' ? path : `${prefix}${path}`,
      authority: host,
      fields,
      content: this.#framing(method, fields),
      last,
    };
  }

  /** How the content of the request is framed; says its length where it is known only now. */
  #framing(method: string, fields: Field[]): BackendRequest['content'] {
    if (this.#declared !== undefined) return this.#declared === 0 ? 'none' : 'length';
    if (!this.#requestDone) return 'chunked';
    if (this.#received > 0 || mayHaveContent(method)) fields.push(['content-length', String(this.#received)]);
    return this.#received === 0 ? 'none' : 'length';
  }

  /** What came in one call goes on together; small pieces wait while nothing can go on. */
  #passPieces(): void {
    if (!this.#pieces) return;
    const taken = this.#pieces.count();
    if (taken === 0) return;
    if (taken > 1) this.#host.spend(taken);
    if (this.#sending && !this.#full) this.#pieces.flush();
    else this.#pieces.keep();
  }

  #take(bytes: Uint8Array): void {
    if (this.#over) return;
    const look = this.#sending && !this.#held ? this.#passage!.look() : 'wait';
    if (look === 'pass') return this.#pass(bytes);
    if (look !== 'wait') return this.refuse(look);
    this.#held ??= [];
    this.#held.push(copyBytes(bytes));
    if (this.#sending) this.#release();
  }

  /** Content to the backend; its credit goes back when the socket has room, so what is held is bounded by the window. */
  #pass(bytes: Uint8Array): void {
    this.#uncredited += bytes.length;
    if (this.#call?.write(bytes)) return this.#credit();
    this.#full = true;
  }

  #credit(): void {
    this.#stream.consume(this.#uncredited);
    this.#uncredited = 0;
  }

  /** Ends the work for the stream; without any it is settled at once. */
  #stop(): void {
    this.#headMemory?.end();
    if (this.#call) this.#call.abort();
    else this.#stream.settle();
  }
}
