// The same answers as gltf_by_hand.js, by three.js and its GLTFLoader.
import {AnimationMixer, LoopOnce, Vector3} from "three";
import {GLTFLoader} from "three/addons/loaders/GLTFLoader.js";

const {scene, animations} = await new GLTFLoader().loadAsync("people.glb");
const meshes = [];
scene.traverse((item) => item.isSkinnedMesh && meshes.push(item));
const mixer = new AnimationMixer(scene);
for (const clip of animations) {
  const action = mixer.clipAction(clip).setLoop(LoopOnce);
  action.clampWhenFinished = true; // else the last frame is the first of the next round
  action.play();
}

function at(seconds) {
  mixer.setTime(seconds);
  scene.updateMatrixWorld(true);
  return Object.fromEntries(meshes.map((mesh) => {
    const vertices = [], joints = mesh.skeleton.bones.map((bone) => bone.getWorldPosition(new Vector3()).toArray());
    for (let vertex = 0; vertex < mesh.geometry.attributes.position.count; vertex++) {
      vertices.push(mesh.getVertexPosition(vertex, new Vector3()).applyMatrix4(mesh.matrixWorld).toArray());
    }
    return [mesh.name, {vertices, joints}];
  }));
}

const times = [...new Set(animations.flatMap(({tracks}) => tracks.flatMap((track) => Array.from(track.times))))];
window.gltf = {facts: {meshes: meshes.map(({name}) => name), times: times.sort((a, b) => a - b)}, at};
