/** RFC 9457 problem details, with the machine-readable code of ours. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail?: string;
}

/** A problem body. */
export function problemOf(status: number, code: string, title: string, detail?: string): Problem {
  return { type: `urn:sallyport:problem:${code}`, title, status, code, ...(detail === undefined ? {} : { detail }) };
}
