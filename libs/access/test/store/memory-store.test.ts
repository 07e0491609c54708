import { MemoryStore } from '../../src/store.ts';
import { sealedStoreContract } from '../sealed-store.contract.ts';
import { storeContract } from '../store.contract.ts';

const store = new MemoryStore();
storeContract((realm) => store.in(realm), 'memory');
sealedStoreContract((realm) => store.in(realm), 'memory');
