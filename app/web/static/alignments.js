import { keepFresh } from "./refresh.js";

keepFresh("alignments", (part) => (Number(part.dataset.building) ? 3 : 30));
