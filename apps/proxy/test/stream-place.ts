import type { SignedCode } from '@sallyport/channel';
import type { Backend } from '@sallyport/security-api';
import { Backends } from '../src/backend/backends.ts';
import type { BackendError } from '../src/backend/errors.ts';
import { Tenant } from '../src/backend/tenant.ts';
import type { Wanted } from '../src/serving/rights.ts';
import type { StreamHost } from '../src/streams/exchange.ts';

/** What a test changes of a channel while its streams run. */
export interface HostState {
  /** 0 while rights are being read. */
  rights: number;
  /** Set: the grant of this moment refuses. */
  refused: SignedCode | undefined;
  serving: boolean;
  backend: Backend;
}

/** A channel as streams see it, without a device: a test plays both. */
export class TestHost implements StreamHost {
  readonly state: HostState;
  readonly backends: Backends;
  readonly deviceAddress = '192.0.2.1';
  readonly tenant: Tenant;
  readonly kind: 'http' | 'tcp';
  readonly outcomes: ('done' | SignedCode)[] = [];
  readonly failures: BackendError[] = [];
  readonly rules: string[] = [];
  readonly waiting: (() => void)[] = [];

  constructor(
    backend: Backend,
    kind: 'http' | 'tcp' = 'http',
    { backends = new Backends(), user = 'ada', session = 'session' } = {},
  ) {
    this.tenant = new Tenant({ session, user });
    this.state = { rights: 1, refused: undefined, serving: true, backend };
    this.kind = kind;
    this.backends = backends;
  }

  get rights(): number {
    return this.state.rights;
  }

  decide(_wanted?: Wanted): ReturnType<StreamHost['decide']> {
    const { refused, backend } = this.state;
    if (refused) return { refused };
    const assertion = this.kind === 'http' ? { assertion: 'signed' } : {};
    return { resource: { name: 'wiki', kind: this.kind, authority: 'wiki.corp', backend, rules: [], ...assertion } };
  }

  mayServe(): boolean {
    return this.state.serving;
  }

  whenReady(work: () => void): void {
    if (this.state.rights > 0) work();
    else this.waiting.push(work);
  }

  whenProved(work: () => void): void {
    this.whenReady(work);
  }

  /** Rights are known, as of this version. */
  known(rights: number): void {
    this.state.rights = rights;
    for (const work of this.waiting.splice(0)) work();
  }

  backendFailed(_resource: string, error: BackendError): void {
    this.failures.push(error);
  }

  refused(rule: string): void {
    this.rules.push(rule);
  }

  readonly defects: unknown[] = [];
  webSocketMessageBytes = 16_777_216;
  spent = 0;

  handlerFailed(error: unknown): void {
    this.defects.push(error);
  }

  spend(pieces: number): void {
    this.spent += pieces;
  }

  count(_kind: string, outcome: 'done' | SignedCode): void {
    this.outcomes.push(outcome);
  }
}
