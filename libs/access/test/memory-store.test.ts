import { MemoryStore } from '../src/index.ts';
import { storeContract } from './store.contract.ts';

const store = new MemoryStore();
storeContract((realm) => store.in(realm), 'memory');
