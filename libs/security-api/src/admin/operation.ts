import type { Static, TSchema } from 'typebox';
import type { ProblemCode } from '../problems.ts';

/** Methods of the admin API. */
export type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

/** What an operation of the admin API is, without its name. */
export interface OperationShape {
  readonly method: Method;
  /** With `:name` for each parameter. */
  readonly path: `/v1/${string}`;
  /** What it does, in a line. */
  readonly about: string;
  readonly params?: TSchema;
  readonly query?: TSchema;
  /** Of a list in pages: what its rows are known by, and the next page is asked for after. */
  readonly cursor?: string;
  readonly body?: TSchema;
  /** Bytes of its largest body, where that is more than usual. */
  readonly maxBodyBytes?: number;
  readonly answer: TSchema;
  /** Answered without a credential. */
  readonly open?: true;
  /** A pipeline that may only publish may ask for it, too. */
  readonly publisher?: true;
  /** It goes into the audit log: the header `sallyport-reason` says why. */
  readonly reason?: true;
  /** The header `sallyport-request` may have an id of the client's own: repeated with it, it is done once. */
  readonly repeatable?: true;
  /** The header `if-none-match: *` says that nothing may be replaced (RFC 9110, section 13.1.2). */
  readonly onlyNew?: true;
  /** Codes of its own, beside those that every operation may answer with. */
  readonly errors?: readonly ProblemCode[];
}

/**
 * One operation of the admin API. All that anybody knows of it is said here: Security's routes, the OpenAPI document, what is
 * answered without a credential, the client and the command line are made from it.
 */
export interface Operation extends OperationShape {
  /** The noun that it belongs to and what it does with it, such as `users.put`. */
  readonly id: string;
}

/** Operations of a noun by what they do; each gets its id. */
export function operations<const Noun extends string, const Shapes extends Readonly<Record<string, OperationShape>>>(
  noun: Noun,
  shapes: Shapes,
): { readonly [Verb in keyof Shapes & string]: Shapes[Verb] & { readonly id: `${Noun}.${Verb}` } } {
  const named = Object.entries(shapes).map(([verb, shape]) => [verb, { id: `${noun}.${verb}`, ...shape }]);
  return Object.fromEntries(named);
}

/** What is parsed is not changed. */
type Frozen<T> = T extends object ? { readonly [Key in keyof T]: Frozen<T[Key]> } : T;

type Part<O, Name extends string> = O extends { readonly [Key in Name]: infer Schema extends TSchema }
  ? Static<Schema>
  : undefined;

/** Parameters of an operation's path; undefined when it has none. */
export type ParamsOf<O extends OperationShape> = Part<O, 'params'>;
/** The query of an operation; undefined when it has none. */
export type QueryOf<O extends OperationShape> = Part<O, 'query'>;
/** The body of an operation as it is read; undefined when it has none. */
export type BodyOf<O extends OperationShape> = Part<O, 'body'>;
/** The body of an operation as it is made. */
export type GivenBodyOf<O extends OperationShape> = Frozen<BodyOf<O>>;
/** What an operation answers, as it is read. */
export type AnswerOf<O extends OperationShape> = Static<O['answer']>;
/** What an operation answers, as it is made. */
export type GivenAnswerOf<O extends OperationShape> = Frozen<AnswerOf<O>>;
