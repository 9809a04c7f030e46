import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "../../common/schema.ts";
import { skeletonSettings } from "./pose-settings.ts";
import { cocoSkeleton, mirroredJoints, skeletonOf } from "./skeleton.ts";

const read = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../../fixtures/${path}`, import.meta.url), "utf8"));
const unwanted = (sentence: string) => assert.fail(sentence);

test("COCO's joints, sigmas and limbs are the published ones", () => {
  const { joints, sigmas } = read("tasks/pose-metrics.json").conventions;
  assert.deepEqual(cocoSkeleton.joints, joints);
  assert.deepEqual(cocoSkeleton.sigmas, sigmas);
  const [category] = read("datasets/coco/annotations/person_keypoints_train2017.json").categories;
  assert.deepEqual(
    cocoSkeleton.limbs.map((limb) => limb.map((joint) => joint + 1)),
    category.skeleton,
  );
});

test("a skeleton with COCO's names is COCO's, without a warning", () => {
  const { joints, limbs } = cocoSkeleton;
  const named = limbs.map(([a, b]): [string, string] => [joints[a], joints[b]]);
  assert.deepEqual(skeletonOf({ joints: [...joints], limbs: named }, unwanted), cocoSkeleton);
});

test("unknown joints get 0.05, and one sentence names them all", () => {
  const warnings: string[] = [];
  const joints = ["nose", "tail", "LeftPaw", "RightPaw", "fin"];
  const skeleton = skeletonOf({ joints, sigmas: { fin: 0.3 } }, (sentence) => warnings.push(sentence));
  assert.deepEqual(skeleton.sigmas, [0.026, 0.05, 0.05, 0.05, 0.3]);
  assert.deepEqual(skeleton.pairs, [[2, 3]]);
  assert.deepEqual(skeleton.upperBody, [0]);
  assert.deepEqual(warnings, [
    "no sigma is known for tail, LeftPaw, RightPaw: OKS and AP take 0.05; name sigmas in the skeleton to change it",
  ]);
});

test("pairs that a document gives count instead of those by name", () => {
  const joints = ["left_hand", "right_hand", "thumb", "finger"];
  const { pairs } = skeletonOf({ joints, pairs: [["finger", "thumb"]] }, () => {});
  assert.deepEqual(pairs, [[3, 2]]);
  assert.deepEqual(mirroredJoints({ joints, pairs }), [0, 1, 3, 2]);
});

test("mirroring twice gives every joint back", () => {
  const places = mirroredJoints(cocoSkeleton);
  assert.deepEqual(
    places.map((place) => places[place]),
    cocoSkeleton.joints.map((_, index) => index),
  );
  assert.equal(cocoSkeleton.joints[places[9]], "right_wrist");
});

test("names that are no joints, and joints that stand twice, are refused", () => {
  const joints = ["nose", "left_eye", "right_eye"];
  assert.throws(
    () => skeletonOf({ joints, limbs: [["nose", "chin"]] }, unwanted),
    /no joint "chin", which limbs names; its joints are nose/,
  );
  assert.throws(
    () => skeletonOf({ joints, sigmas: { chin: 1 } }, unwanted),
    /no joint "chin", which sigmas names/,
  );
  assert.throws(() => skeletonOf({ joints: ["a", "a"] }, unwanted), /names the joint "a" twice/);
  const pairs: [string, string][] = [
    ["nose", "left_eye"],
    ["right_eye", "nose"],
  ];
  assert.throws(() => skeletonOf({ joints, pairs }, unwanted), /pairs the joint "nose" twice/);
  assert.throws(
    () => parse(skeletonSettings, { joints, sigmas: { nose: 0 } }),
    /sigmas\.nose is 0; it has to be more than 0/,
  );
});
