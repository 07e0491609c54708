/** What is wrong with how Sallyport is set up: insecure, or of no use. */
export interface LintFault {
  /** A file, or what was asked, like `realm`. */
  readonly where: string;
  /** Line of the file, from 1; absent where there is none. */
  readonly line?: number;
  /** An error must be changed before a start in production; a warning is a question. */
  readonly severity: 'error' | 'warning';
  readonly what: string;
  /** The line to write instead, or the command to give. */
  readonly change: string;
}

/** In one line, as compilers say it. */
export function formatFault({ where, line, severity, what, change }: LintFault): string {
  return `${where}${line === undefined ? '' : `:${line}`}: ${severity}: ${what}; change: ${change}`;
}
