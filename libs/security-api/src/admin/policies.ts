import Type, { type Static } from 'typebox';
import { CLOSED, Names, orNull } from '../fields.ts';
import { ContextRule, Methods, Paths } from '../grant.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

/** Which groups reach which resources, and by which requests from which apps. */
export const PolicyInput = Type.Object(
  {
    groups: Names,
    resources: Names,
    context: ContextRule,
    methods: Type.Optional(Methods),
    paths: Type.Optional(Paths),
  },
  { ...CLOSED, $id: 'PolicyInput' },
);
export type PolicyInput = Static<typeof PolicyInput>;

/** A change of a policy: what it does not name stays as it is; lists are replaced, or added to and taken from. */
export const PolicyChange = Type.Object(
  {
    groups: Type.Optional(Names),
    addGroups: Type.Optional(Names),
    removeGroups: Type.Optional(Names),
    resources: Type.Optional(Names),
    addResources: Type.Optional(Names),
    removeResources: Type.Optional(Names),
    context: Type.Optional(ContextRule),
    methods: Type.Optional(orNull(PolicyInput.properties.methods)),
    paths: Type.Optional(orNull(PolicyInput.properties.paths)),
  },
  { ...CLOSED, $id: 'PolicyChange' },
);
export type PolicyChange = Static<typeof PolicyChange>;

/** A policy as it is. */
export const PolicyView = Type.Object({ name: Type.String(), ...PolicyInput.properties }, { ...CLOSED, $id: 'Policy' });
export type PolicyView = Static<typeof PolicyView>;

/** Which groups reach which resources. */
export const policies = operations('policies', {
  list: {
    method: 'GET',
    path: '/v1/policies',
    about: 'Policies by name, a page of them',
    cursor: 'name',
    query: CursorQuery,
    answer: Type.Array(PolicyView),
  },
  put: {
    method: 'PUT',
    path: '/v1/policies/:name',
    about: 'Create or replace a policy',
    reason: true,
    onlyNew: true,
    params: NameParam,
    body: PolicyInput,
    answer: PolicyView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  change: {
    method: 'PATCH',
    path: '/v1/policies/:name',
    about: 'Change what is named of a policy',
    reason: true,
    params: NameParam,
    body: PolicyChange,
    answer: PolicyView,
    errors: ['ERR_ACCESS_NOT_FOUND', 'ERR_ACCESS_CONFLICT', 'ERR_ACCESS_INVALID', 'ERR_SECURITY_NOT_IN_FORCE'],
  },
  remove: {
    method: 'DELETE',
    path: '/v1/policies/:name',
    about: 'Remove one of the policies',
    reason: true,
    params: NameParam,
    answer: Done,
    errors: ['ERR_SECURITY_NOT_IN_FORCE'],
  },
});
