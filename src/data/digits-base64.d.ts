/** assets/digits.csv.gz in base64; scripts/project.mjs writes the module. */
export const digits: string;
