import { isText } from '@sallyport/security-api';
import { checkName, isCore, isSchema, ScimError } from './errors.ts';

/** JSON of a resource. */
export type ScimValue = string | number | boolean | null | readonly ScimValue[] | ScimObject;
export interface ScimObject {
  readonly [name: string]: ScimValue | undefined;
}

/** Where an attribute is: the URN of its schema, if named, its name and its sub-attribute. No name is the whole schema. */
export interface AttributePath {
  readonly schema: string;
  readonly name: string;
  readonly sub: string;
}

const OPERATORS = ['eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le'] as const;
type Operator = (typeof OPERATORS)[number];

/** A filter, parsed (RFC 7644, section 3.4.2.2). */
export type ScimFilter =
  | {
      readonly kind: 'compare';
      readonly path: AttributePath;
      readonly operator: Operator;
      readonly value: string | number | boolean | null;
    }
  | { readonly kind: 'present'; readonly path: AttributePath }
  | { readonly kind: 'and' | 'or'; readonly left: ScimFilter; readonly right: ScimFilter }
  | { readonly kind: 'not'; readonly filter: ScimFilter }
  | { readonly kind: 'element'; readonly path: AttributePath; readonly filter: ScimFilter };

const MAX_CHARACTERS = 4_096;
const MAX_DEPTH = 32;
const MAX_TOKENS = 512;
const TOKEN = /\s+|[()[\]]|"(?:[^"\\]|\\.)*"|[^\s()[\]"]+/gy;

/** Parses a filter. @throws ScimError invalidFilter */
export function parseScimFilter(text: string): ScimFilter {
  const parser = new Parser(tokensOf(text));
  const filter = parser.disjunction(0);
  parser.end();
  return filter;
}

function invalid(detail: string): ScimError {
  return new ScimError('invalidFilter', detail);
}

function tokensOf(text: string): string[] {
  if (text.length > MAX_CHARACTERS) throw invalid(`a filter has at most ${MAX_CHARACTERS} characters`);
  const tokens: string[] = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    end = match.index + match[0].length;
    if (match[0].trim() !== '') tokens.push(match[0]);
  }
  if (end !== text.length) throw invalid('a text in the filter has no end');
  if (tokens.length > MAX_TOKENS) throw invalid('the filter is too long');
  return tokens;
}

class Parser {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw invalid('the filter goes on after its end');
  }

  disjunction(depth: number): ScimFilter {
    let left = this.#conjunction(depth);
    while (this.#takesWord('or')) left = { kind: 'or', left, right: this.#conjunction(depth) };
    return left;
  }

  #conjunction(depth: number): ScimFilter {
    let left = this.#term(depth);
    while (this.#takesWord('and')) left = { kind: 'and', left, right: this.#term(depth) };
    return left;
  }

  #term(depth: number): ScimFilter {
    if (depth > MAX_DEPTH) throw invalid('the filter is nested too deeply');
    if (this.#takesWord('not')) {
      this.#expect('(');
      return { kind: 'not', filter: this.#closed(depth, ')') };
    }
    if (this.#takes('(')) return this.#closed(depth, ')');
    const path = parseAttributePath(this.#next(), 'invalidFilter');
    if (this.#takes('[')) return { kind: 'element', path, filter: this.#closed(depth, ']') };
    const operator = this.#next().toLowerCase();
    if (operator === 'pr') return { kind: 'present', path };
    if (!OPERATORS.includes(operator as Operator))
      throw invalid('an operator is expected: eq, ne, co, sw, ew, gt, ge, lt, le or pr');
    return { kind: 'compare', path, operator: operator as Operator, value: parseLiteral(this.#next()) };
  }

  #closed(depth: number, close: string): ScimFilter {
    const filter = this.disjunction(depth + 1);
    this.#expect(close);
    return filter;
  }

  #next(): string {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw invalid('the filter ends too early');
    this.#at += 1;
    return token;
  }

  #takes(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at += 1;
    return true;
  }

  #takesWord(word: string): boolean {
    if (this.#tokens[this.#at]?.toLowerCase() !== word) return false;
    this.#at += 1;
    return true;
  }

  #expect(token: string): void {
    if (!this.#takes(token)) throw invalid(`a ${token} is expected`);
  }
}

function parseLiteral(token: string): string | number | boolean | null {
  const bare = /^(true|false|null)$/i.test(token) ? token.toLowerCase() : token;
  try {
    const value: unknown = JSON.parse(bare);
    if (typeof value === 'string' && isText(value)) return value;
    if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  } catch {
    // Falls through to the one error below.
  }
  throw invalid('a value is a line of text in quotes, a number, true, false or null');
}

/** Parses `name`, `name.sub`, `urn:…:name.sub` or the URN of a whole schema. @throws ScimError */
export function parseAttributePath(text: string, type: 'invalidFilter' | 'invalidPath'): AttributePath {
  if (isSchema(text)) return { schema: text, name: '', sub: '' };
  const [, schema = '', rest = text] = /^(urn:[A-Za-z0-9:._-]{1,200}):([^:]*)$/i.exec(text) ?? [];
  const [name = '', sub = '', ...more] = rest.split('.');
  if (more.length > 0) throw new ScimError(type, 'an attribute has one level of sub-attributes');
  return { schema, name: checkName(name, type), sub: sub === '' && !rest.includes('.') ? '' : checkName(sub, type) };
}

/** True when a resource fits. Attribute names and texts have no case, as with every attribute of the core schema but ids. */
export function matchesFilter(resource: ScimObject, filter: ScimFilter): boolean {
  switch (filter.kind) {
    case 'and':
      return matchesFilter(resource, filter.left) && matchesFilter(resource, filter.right);
    case 'or':
      return matchesFilter(resource, filter.left) || matchesFilter(resource, filter.right);
    case 'not':
      return !matchesFilter(resource, filter.filter);
    case 'present':
      return valuesAt(resource, filter.path).some((value) => value !== null && value !== '');
    case 'element':
      return elementsAt(resource, filter.path).some((element) => matchesFilter(element, filter.filter));
    case 'compare':
      return compares(valuesAt(resource, filter.path), filter);
  }
}

function compares(
  values: readonly ScimValue[],
  { operator, value: expected }: Extract<ScimFilter, { kind: 'compare' }>,
): boolean {
  if (operator === 'ne') return !values.some((value) => compare(value, 'eq', expected));
  if (operator === 'eq' && expected === null) return values.length === 0;
  return values.some((value) => compare(value, operator, expected));
}

function compare(value: ScimValue, operator: Operator, expected: string | number | boolean | null): boolean {
  if (typeof value === 'string' && typeof expected === 'string')
    return compareTexts(value.toLowerCase(), operator, expected.toLowerCase());
  if (operator === 'eq') return value === expected || String(value).toLowerCase() === String(expected).toLowerCase();
  if (typeof value !== 'number' || typeof expected !== 'number') return false;
  return ordered(value - expected, operator);
}

function compareTexts(value: string, operator: Operator, expected: string): boolean {
  if (operator === 'eq') return value === expected;
  if (operator === 'co') return value.includes(expected);
  if (operator === 'sw') return value.startsWith(expected);
  if (operator === 'ew') return value.endsWith(expected);
  return ordered(value < expected ? -1 : value > expected ? 1 : 0, operator);
}

function ordered(difference: number, operator: Operator): boolean {
  if (operator === 'gt') return difference > 0;
  if (operator === 'ge') return difference >= 0;
  if (operator === 'lt') return difference < 0;
  return operator === 'le' && difference <= 0;
}

/** The attribute of a name in an object, by its own properties only, whatever the case of the name. */
export function propertyOf(object: ScimObject, name: string): string | undefined {
  if (Object.hasOwn(object, name)) return name;
  const lower = name.toLowerCase();
  return Object.keys(object).find((key) => key.toLowerCase() === lower);
}

function containerOf(resource: ScimObject, { schema }: AttributePath): ScimObject | undefined {
  // The URNs of the core schemas name what is at the top.
  if (isCore(schema)) return resource;
  const key = propertyOf(resource, schema);
  const container = key === undefined ? undefined : resource[key];
  return isObject(container) ? container : undefined;
}

/** Values of an attribute: each element of a list, and its sub-attribute or `value`. */
function valuesAt(resource: ScimObject, path: AttributePath): ScimValue[] {
  const container = containerOf(resource, path);
  if (path.name === '') return container ? [true] : [];
  const key = container && propertyOf(container, path.name);
  const found = key === undefined ? undefined : container![key];
  if (found === undefined) return [];
  const elements = Array.isArray(found) ? (found as ScimValue[]) : [found];
  return elements.flatMap((element) => {
    if (!isObject(element)) return path.sub === '' ? [element] : [];
    const sub = propertyOf(element, path.sub === '' ? 'value' : path.sub);
    const value = sub === undefined ? undefined : element[sub];
    return value === undefined ? [] : [value];
  });
}

function elementsAt(resource: ScimObject, path: AttributePath): ScimObject[] {
  const container = containerOf(resource, path);
  const key = container && propertyOf(container, path.name);
  const found = key === undefined ? undefined : container![key];
  const elements = Array.isArray(found) ? (found as ScimValue[]) : found === undefined ? [] : [found];
  return elements.filter(isObject);
}

/** True for a JSON object. */
export function isObject(value: unknown): value is ScimObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The text that an attribute must be equal to for a resource to fit, if the filter says so at its top; for an index. */
export function equalText(filter: ScimFilter, name: string): string | undefined {
  if (filter.kind === 'and') return equalText(filter.left, name) ?? equalText(filter.right, name);
  if (filter.kind !== 'compare' || filter.operator !== 'eq' || typeof filter.value !== 'string') return undefined;
  const { schema, name: named, sub } = filter.path;
  const isIt = isCore(schema) && named.toLowerCase() === name.toLowerCase() && sub === '';
  return isIt ? filter.value : undefined;
}

/** Comparisons in a filter: what matching it costs, for each value. */
export function costOf(filter: ScimFilter): number {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return costOf(filter.left) + costOf(filter.right);
    case 'not':
    case 'element':
      return 1 + costOf(filter.filter);
    default:
      return 1;
  }
}

/**
 * The texts to which a filter compares an attribute, and nothing else of it: `name eq`, `name.value eq`, `name[value eq]`.
 * @throws ScimError invalidFilter when it asks for more of it
 */
export function comparedTexts(filter: ScimFilter, name: string): string[] {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return [...comparedTexts(filter.left, name), ...comparedTexts(filter.right, name)];
    case 'not':
      return comparedTexts(filter.filter, name);
    case 'element':
      return isNamed(filter.path, name) ? comparedTexts(filter.filter, 'value') : [];
    default:
      return textCompared(filter, name);
  }
}

function textCompared(filter: Extract<ScimFilter, { kind: 'compare' | 'present' }>, name: string): string[] {
  if (!isNamed(filter.path, name)) return [];
  const { sub } = filter.path;
  const whole = sub === '' || sub.toLowerCase() === 'value';
  if (whole && filter.kind === 'compare' && filter.operator === 'eq' && typeof filter.value === 'string')
    return [filter.value];
  throw invalid(`${name} are compared by eq`);
}

function isNamed({ name }: AttributePath, wanted: string): boolean {
  return name.toLowerCase() === wanted.toLowerCase();
}

/** True when a filter asks for an attribute anywhere. */
export function mentions(filter: ScimFilter, name: string): boolean {
  switch (filter.kind) {
    case 'and':
    case 'or':
      return mentions(filter.left, name) || mentions(filter.right, name);
    case 'not':
      return mentions(filter.filter, name);
    default:
      return filter.path.name.toLowerCase() === name.toLowerCase();
  }
}
