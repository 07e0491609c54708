import Type, { type Static } from 'typebox';
import { CLOSED, CountryCode, Name, Names, NetworkText, orNull } from '../fields.ts';
import { AttestedRule, ContextRule, Methods, Paths } from '../grant.ts';
import { operations } from './operation.ts';
import { CursorQuery } from './paging.ts';
import { Done, NameParam } from './params.ts';

function NamesFor(description: string) {
  return Type.Array(Name(), { minItems: 1, maxItems: 64, description });
}

function NetworksFor(description: string) {
  return Type.Array(NetworkText, { minItems: 1, maxItems: 64, description });
}

function CountriesFor(description: string) {
  return Type.Array(CountryCode, { minItems: 1, maxItems: 256, description });
}

/** Which groups reach which resources, by which requests, from which apps and where. */
export const PolicyInput = Type.Object(
  {
    groups: Names,
    resources: Names,
    context: ContextRule,
    methods: Type.Optional(Methods),
    paths: Type.Optional(Paths),
    sites: Type.Optional(NamesFor('only through Proxies of these sites')),
    notSites: Type.Optional(NamesFor('through Proxies of these sites never')),
    networks: Type.Optional(NetworksFor('only for devices whose address, as the Proxy sees it, lies in one of these')),
    notNetworks: Type.Optional(NetworksFor('not for devices whose address lies in one of these')),
    regions: Type.Optional(NamesFor('of the resources only those of these regions')),
    notRegions: Type.Optional(NamesFor('of the resources none of these regions, and none without a region')),
    countries: Type.Optional(CountriesFor('only for devices whose address lies in one of these countries')),
    notCountries: Type.Optional(CountriesFor('not for devices whose address lies in one of these, or in no known one')),
  },
  { ...CLOSED, $id: 'PolicyInput' },
);
export type PolicyInput = Static<typeof PolicyInput>;

/** What a policy says of places, in the order in which rows keep it: that is part of their MAC, so new ones come last. */
export const PLACE_FIELDS = [
  'sites',
  'notSites',
  'networks',
  'notNetworks',
  'regions',
  'notRegions',
  'countries',
  'notCountries',
] as const satisfies readonly (keyof PolicyInput)[];

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
    attested: Type.Optional(orNull(AttestedRule)),
    methods: Type.Optional(orNull(PolicyInput.properties.methods)),
    paths: Type.Optional(orNull(PolicyInput.properties.paths)),
    sites: Type.Optional(orNull(PolicyInput.properties.sites)),
    notSites: Type.Optional(orNull(PolicyInput.properties.notSites)),
    networks: Type.Optional(orNull(PolicyInput.properties.networks)),
    notNetworks: Type.Optional(orNull(PolicyInput.properties.notNetworks)),
    regions: Type.Optional(orNull(PolicyInput.properties.regions)),
    notRegions: Type.Optional(orNull(PolicyInput.properties.notRegions)),
    countries: Type.Optional(orNull(PolicyInput.properties.countries)),
    notCountries: Type.Optional(orNull(PolicyInput.properties.notCountries)),
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
