import Type, { type TInteger, type TNull, type TSchema, type TString, type TUnion } from 'typebox';
import { Text } from './text.ts';

/** An object that has no fields but those that are named. */
export const CLOSED = { additionalProperties: false } as const;
/** What a name looks like, for people. */
const NameWords = 'a name of 1 to 64 letters a-z, digits and . _ @ -, with a letter or digit at both ends';
/** Names of users, groups, resources, policies and sites. */
const NamePattern = '^[a-z0-9]([a-z0-9._@-]{0,62}[a-z0-9])?$';

/**
 * The annotations of a field that has a form: refusals name the form (`title`, or `description` where there is no other), the
 * document says what the field is for, too.
 */
export function formed(form: string, about = ''): { readonly title?: string; readonly description: string } {
  return about === '' ? { description: form } : { title: form, description: `${about}: ${form}` };
}

/** A name of the realm: of a user, a group, a resource, a policy, a site or a directory. */
export function Name(about?: string): TString {
  return Type.String({ pattern: NamePattern, ...formed(NameWords, about) });
}

/** Names, 256 at most. */
export const Names = Type.Array(Name(), { maxItems: 256 });

/**
 * Sites by preference, the first one first. Equally good ones stand in one text with commas between, like `b,c`.
 */
export const SitesByPreference = Type.Array(
  Type.String({
    pattern: '^[a-z0-9][a-z0-9._@-]{0,63}(,[a-z0-9][a-z0-9._@-]{0,63})*$',
    maxLength: 1_024,
    description: 'a site, or equally good ones with commas between, like b,c',
  }),
  { minItems: 1, maxItems: 64 },
);

/** A network, `address/bits`. */
export const NetworkText: TString = Type.String({
  pattern: '^[0-9a-fA-F:.]{2,45}/[0-9]{1,3}$',
  description: 'a network like 10.0.0.0/8',
});

/** A country. */
export const CountryCode: TString = Type.String({
  pattern: '^[A-Z]{2}$',
  description: 'the code of a country in two capitals (ISO 3166-1), like DE',
});

/** One line of text of a setting. */
export function Line(about?: string): TString {
  return Text({ minLength: 1, maxLength: 512, about });
}

/** A moment, epoch ms. */
export function Time(about?: string): TInteger {
  return Type.Integer(formed('epoch ms', about));
}

/** A moment, epoch ms, or null when there is none. */
export function OptionalTime(about?: string): TUnion<[TInteger, TNull]> {
  return Type.Union([Time(), Type.Null()], about === undefined ? {} : { description: about });
}

/** A text, or null when there is none. */
export function OptionalText(about?: string): TUnion<[TString, TNull]> {
  return Type.Union([Type.String(), Type.Null()], about === undefined ? {} : { description: about });
}

/** What null takes away, and what is not named stays (RFC 7396). */
export function orNull<Schema extends TSchema>(schema: Schema): TUnion<[Schema, TNull]> {
  return Type.Union([schema, Type.Null()], { description: 'what it is, or null to take it away' });
}
