import type { Manifest } from './manifest.ts';
import { realmFolder } from './name.ts';

/** `README.txt` of an export: for whoever finds it when everything else is gone. */
export function readmeOf(manifest: Pick<Manifest, 'realm' | 'name' | 'product' | 'takenAt' | 'recipients'>): string {
  const { realm, name, product, takenAt, recipients } = manifest;
  return `A backup of Sallyport, realm ${realm}, as it was at ${takenAt}.

TO RESTORE IT on an empty machine you need
  1. Sallyport, version ${product} or later: unpack it, Node 20 or later and npm are enough;
  2. this folder, at its target: ${realmFolder(realm)}/${name}
  3. the identity file (AGE-SECRET-KEY-1...) of one of these recipients:
${recipients.map((recipient) => `       ${recipient}\n`).join('')}  4. kek.json of a Security server of this realm, or the shares of its escrow.
     It is in no backup. Without it nobody can sign in with what is restored.

THEN, in the folder of Sallyport, with the folder that has "${realmFolder(realm)}" in it:

  npm run sallyport -- backup restore ${name} --target FOLDER --identity FILE --key-file KEK.JSON --reason "why"

It says what is missing, asks before it overwrites anything, and tells what was lost.
To look at it first, without any Sallyport server:

  npm run sallyport -- backup verify ${name} --target FOLDER --identity FILE

WHAT IS HERE: data.age is the age format (age-encryption.org/v1) of gzip of the rows of all tables, as psql reads them:
  age -d -i FILE data.age | gunzip | less
What protects people stays protected inside by kek.json; names of users are readable for whoever has the identity file.
manifest.json says what is inside and is signed for (MAC) by kek.json; receipt.json, where there is one, proves that the
backup was restored into a scratch database and checked.
`;
}
