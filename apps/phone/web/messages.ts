/**
 * What the shell and a resource's origin say to each other. A request goes worker → keeper → shell with a port, and its answer
 * comes back over the port; pages of the resource speak to the shell directly. Everything that comes from a resource's origin
 * may come from a hostile page of that resource, which then only speaks for itself: the shell knows the origin from the browser.
 */

/** One request of a page of a resource, as its service worker saw it. */
export interface PageRequest {
  readonly type: 'request';
  readonly method: string;
  /** Absolute, at the resource's origin or at the authority that it stands for. */
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly mode: string;
  readonly destination: string;
  readonly referrer: string;
  /** A page that was there before is opened again: back, forward, or reload. */
  readonly again?: boolean;
  readonly body?: Blob | undefined;
}

/** What a page has to know to show a document of a resource as if it were at its own address. */
export interface PageFacts {
  /** `http://wiki.corp`: what the resource's origin stands for. */
  readonly address: string;
  /** Cookies that scripts may read. */
  readonly cookies: readonly PageCookie[];
}

export interface PageCookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** What the shell answers to a request, in this order; parts come one for each `pull`. */
export type ShellAnswer =
  | { readonly type: 'heard' }
  | {
      readonly type: 'head';
      readonly status: number;
      readonly headers: readonly (readonly [string, string])[];
      readonly facts: PageFacts;
    }
  | { readonly type: 'part'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'end' }
  | {
      readonly type: 'failed';
      readonly status: number;
      readonly code: string;
      readonly text: string;
      readonly facts: PageFacts;
    };

/** What a service worker says over the port of its request: `go` once it was heard, and only to one shell, so that nothing runs twice. */
export type WorkerWord = { readonly type: 'go' } | { readonly type: 'pull' } | { readonly type: 'cancel' };

/** What pages of a resource tell the shell. */
export type PageWord =
  /** Its keeper has a service worker that runs. */
  | { readonly type: 'ready' }
  /** Where the page is now, what it is called, and its icon. */
  | { readonly type: 'place'; readonly url: string; readonly title: string; readonly icon: string }
  /** It wants to go where only the shell can take it. */
  | { readonly type: 'go'; readonly url: string }
  /** A script has set a cookie. */
  | { readonly type: 'cookie'; readonly text: string; readonly path: string }
  /** A script opens a WebSocket; its port comes along. */
  | { readonly type: 'web-socket'; readonly url: string; readonly protocols: readonly string[] };

/** What page and shell say over the port of a WebSocket. */
export type SocketWord =
  | { readonly type: 'open'; readonly protocol: string }
  | { readonly type: 'message'; readonly data: string | ArrayBuffer }
  | { readonly type: 'close'; readonly code?: number | undefined; readonly reason: string; readonly failed?: boolean };

/** Folder of what is ours at the origin of a resource. */
export const OURS = '/.sallyport/';
export const KEEPER_PATH = '/.sallyport/keeper.html';
export const DOWNLOAD_PATH = '/.sallyport/download';
