import type { FastifyError } from 'fastify';

/** One finding of the validator, as it comes with `verbose`. */
interface Finding {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly parentSchema?: {
    readonly title?: string;
    readonly description?: string;
    readonly anyOf?: readonly { readonly const?: unknown }[];
  };
}

/** Where a value stands, for people. */
const PLACES: Readonly<Record<string, string>> = {
  params: 'the path',
  querystring: 'the query',
  headers: 'the header',
};

/**
 * What is wrong with a request, in words: the field and what is expected of it, from the schema's own title or description. Never the
 * value, and never an expression that only programs read.
 */
export function validationWords(error: FastifyError): string {
  const finding = tellingOf((error.validation ?? []) as readonly Finding[]);
  if (!finding) return 'the request is not valid';
  const name = finding.instancePath.split('/').slice(1).join('.');
  const place = PLACES[error.validationContext ?? ''];
  const field = [name, place && `in ${place}`].filter(Boolean).join(' ') || 'the content';
  return wordsOf(field, finding);
}

/** The finding that says most: of a value that is none of several, the one about the choice, which stands behind those about each. */
function tellingOf(findings: readonly Finding[]): Finding | undefined {
  const [first] = findings;
  if (first?.keyword !== 'const') return first;
  return findings.find((one) => one.keyword === 'anyOf' && one.instancePath === first.instancePath) ?? first;
}

function wordsOf(field: string, { keyword, params, parentSchema }: Finding): string {
  const { limit } = params;
  const counted: Readonly<Record<string, string>> = {
    minLength: `at least ${limit} characters`,
    maxLength: `at most ${limit} characters`,
    minimum: `at least ${limit}`,
    maximum: `at most ${limit}`,
    minItems: `at least ${limit} items`,
    maxItems: `at most ${limit} items`,
    type: `${params['type']}`,
    uniqueItems: 'no item twice',
    const: `${params['allowedValue']}`,
  };
  if (keyword === 'required') return `${withIn(field)}${String(params['missingProperty'])} is missing`;
  if (keyword === 'additionalProperties')
    return `${withIn(field)}there is no field ${String(params['additionalProperty']).slice(0, 64)}`;
  const expected =
    counted[keyword] ?? parentSchema?.title ?? parentSchema?.description ?? choices(parentSchema) ?? 'something else';
  return `${field}: expected ${expected}`;
}

function withIn(field: string): string {
  return field === 'the content' ? '' : `${field}: `;
}

function choices(schema: Finding['parentSchema']): string | undefined {
  const values = schema?.anyOf?.map((one) => one.const).filter((value) => value !== undefined) ?? [];
  return values.length > 0 ? `one of ${values.join(', ')}` : undefined;
}
