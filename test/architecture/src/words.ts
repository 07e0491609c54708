/** A spelling that the house does not use. */
interface Forbidden {
  /** Finds whole words that hold it. */
  readonly spelling: RegExp;
  /** What is said instead. */
  readonly say: string;
  /** Words of others that hold it: of RFCs, Node, libraries, and of our own API where it was decided. */
  readonly foreign: readonly string[];
}

/** British spelling, one word per thing (docs/decisions, "One word per thing"). */
const FORBIDDEN: readonly Forbidden[] = [
  {
    spelling: /\b\w*authoriz(?!ation)\w*/gi,
    say: 'authorise',
    foreign: ['Unauthorized', 'NODE_TLS_REJECT_UNAUTHORIZED', 'rejectUnauthorized', 'authorized', 'AuthorizedKeysFile'],
  },
  { spelling: /\b\w*enroll(?!ed|ing)\w*/gi, say: 'enrol', foreign: ['enroll', 'REENROLL_REQUIRED'] },
  { spelling: /\b\w*normaliz\w*/gi, say: 'normalise', foreign: ['normalize'] },
  {
    spelling: /\b\w*(?:recogniz|initializ|summariz|canonicaliz|synchroniz)\w*/gi,
    say: '…ise',
    foreign: ['initializer', 'Initialize', 'PLAY_RECOGNIZED', 'UNRECOGNIZED_VERSION'],
  },
  { spelling: /\b\w*(?:behavior|favorite)\w*/gi, say: '…our', foreign: [] },
  { spelling: /\b\w*cancel(?:ed|ing)\b/gi, say: 'cancelled', foreign: [] },
];

/** Forbidden words of a text, each with what is said instead. */
export function forbiddenIn(text: string): string[] {
  return FORBIDDEN.flatMap(({ spelling, say, foreign }) =>
    [...text.matchAll(spelling)]
      .map(([word]) => word)
      .filter((word) => !foreign.includes(word))
      .map((word) => `${word}: say ${say}`),
  );
}

/** Ends of names that say nothing, and folders and files that are drawers. */
const EMPTY_NAME = /(?:Manager|Helper|Utils?|Impl|Processor)$/;
const DRAWER = /(?:^|\/)(?:utils?|helpers?|common|misc|types)(?:\/|\.ts$)/;

/** True for a name of a type, class or function that says nothing. */
export function saysNothing(name: string): boolean {
  return EMPTY_NAME.test(name);
}

/** True for the path of a drawer: a file or folder in which anything may lie. */
export function isDrawer(path: string): boolean {
  return DRAWER.test(path);
}

const EXPORT = /^export (?:declare |abstract |async )*(?:function\*?|class|interface|type|const|let) (\w+)/gm;

/** Names that a file exports by declaring them. */
export function exportedNames(text: string): string[] {
  return [...new Set([...text.matchAll(EXPORT)].map(([, name]) => name!))];
}

/** Names that more than one file exports, with their files. */
export function twinsOf(files: readonly { readonly path: string; readonly text: string }[]): Map<string, string[]> {
  const places = new Map<string, string[]>();
  for (const { path, text } of files)
    for (const name of exportedNames(text)) places.set(name, [...(places.get(name) ?? []), path]);
  return new Map([...places].filter(([, paths]) => paths.length > 1));
}
