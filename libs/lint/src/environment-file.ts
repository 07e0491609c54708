/** A variable where it is set. */
export interface SetVariable {
  readonly name: string;
  readonly value: string;
  /** Line of its file, from 1; absent when it comes from the environment of a process. */
  readonly line?: number;
}

const LINE = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/;

/** Variables of an environment file as systemd reads it (systemd.exec(5), EnvironmentFile), in their order. */
export function parseEnvironmentFile(text: string): SetVariable[] {
  const found: SetVariable[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at++) {
    const line = at + 1;
    let content = lines[at]!;
    if (/^\s*[#;]/.test(content)) continue;
    while (content.endsWith('\\') && at + 1 < lines.length) content = content.slice(0, -1) + lines[++at]!;
    const [, name, value = ''] = LINE.exec(content) ?? [];
    if (name !== undefined) found.push({ name, value: unquoted(value), line });
  }
  return found;
}

function unquoted(value: string): string {
  return /^(["'])(.*)\1$/s.exec(value)?.[2] ?? value;
}
