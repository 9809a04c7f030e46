import assert from "node:assert/strict";
import { test } from "node:test";
import { datasetNames, loadDataset } from "./catalogue.ts";

test("an unknown name is refused with the choices", async () => {
  await assert.rejects(loadDataset("cifar"), {
    name: "UserError",
    message: 'there is no data set "cifar"; choose one of fashion-mnist, digits',
  });
  assert.deepEqual([...datasetNames], ["fashion-mnist", "digits"]);
});
