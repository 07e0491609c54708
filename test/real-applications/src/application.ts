import type { Running } from '@sallyport/support';
import type { Page } from 'playwright-core';

/** Where the programs of the applications are: a Python with the packages. */
export interface Programs {
  /** A program among the Python packages, like `datasette`. */
  python(name: string): string;
}

/** What an application starts with. */
export interface Place {
  /** A folder of its own. */
  readonly folder: string;
  readonly programs: Programs;
  /** A port on 127.0.0.1 that nobody listens on. */
  freePort(): Promise<number>;
}

/** An application that runs. */
export interface Started {
  /** Where it listens: `http://…`, `https://…` or `tcp://…`, for `resource add --backend`. */
  readonly backend: string;
  /** Options of `resource add` that only the running one knows, like its CA. */
  readonly options?: readonly string[];
  stop(): Promise<void>;
}

/** What a client of an application uses. */
export interface Way {
  /** What the device calls it: the host, and the port of a TCP resource. */
  readonly authority: string;
  readonly host: string;
  /** `host:port` of the HTTP proxy that `device forward` is. */
  readonly proxy: string;
  /** A local port that leads to this TCP resource, from `device forward --tcp`. */
  readonly tcpPort: number;
  /** The folder with which the application was started. */
  readonly served: string;
  /** A folder of this client's own. */
  readonly folder: string;
  readonly programs: Programs;
  /** A page of a browser on this laptop, which goes through `device forward`. */
  laptop(): Promise<Page>;
  /** The phone page, signed in, with this application open; `app` finds its elements. */
  phone(): Promise<{ page: Page; app: ReturnType<Page['frameLocator']> }>;
}

/** A program or a person that uses an application. */
export interface Client {
  readonly name: string;
  /** `phone` is the phone page in Chromium, 375 px wide. */
  readonly through: 'forward' | 'phone';
  /** Uses it; gives what was seen. @throws Error when it is not as it should be */
  use(way: Way): Promise<string>;
}

/** What it needs before it can start. */
export interface Needs {
  /** Python packages with exact versions. */
  readonly python?: readonly string[];
}

/** An application that companies run, and who uses it. */
export interface Application {
  /** The resource's name. */
  readonly name: string;
  readonly title: string;
  /** By default `<name>.corp`. */
  readonly authority?: string;
  readonly needs?: Needs;
  /** Options of `resource add`, and those of `policy add`. */
  readonly options?: readonly string[];
  readonly policy?: readonly string[];
  /** True for those whose programs every machine has on which the tests run: the short form. */
  readonly short?: boolean;
  start(place: Place): Promise<Started>;
  readonly clients: readonly Client[];
}

/** A running program as an application. */
export function startedAt(backend: string, program: Running, options?: readonly string[]): Started {
  return { backend, ...(options ? { options } : {}), stop: () => program.end() };
}

/** @throws Error with what was seen, when it is not as it should be */
export function expectSeen(so: boolean, seen: string): void {
  if (!so) throw new Error(`seen: ${seen.slice(0, 300)}`);
}
