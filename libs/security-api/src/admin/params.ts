import Type from 'typebox';
import { Name } from '../fields.ts';
import { Text } from '../text.ts';

/** What an id of ours, or of a client, looks like. */
export const IdPattern = '^[A-Za-z0-9-]{8,64}$';
/** The same for people. */
export const IdWords = '8 to 64 letters, digits and -';

/** A name in a path. */
export const NameParam = Type.Object({ name: Name() });
/** An id in a path. */
export const IdParam = Type.Object({ id: Type.String({ pattern: IdPattern, description: IdWords }) });
/** The id of a Security node in a path. */
export const NodeParam = Type.Object({ id: Text({ minLength: 1, maxLength: 128 }) });

/** The plainest answer: false when there was nothing to do. */
export const Done = Type.Object({ done: Type.Boolean() });
