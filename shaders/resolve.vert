#version 330 core
// A triangle that covers the whole target.
//
// In:     nothing; drawn as three vertices
// Out:    nothing but the position

void main() {
    gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4.0 - 1.0, 0.0, 1.0);
}
